/** A field and the picture of what was written into it last. */
import { PixartEdge } from 'pixart-edge';
import { useImage } from 'pixart-edge/react';
import * as React from 'react';
import { createRoot } from 'react-dom/client';

const client = new PixartEdge({
  baseURL: import.meta.env.VITE_ORIGIN,
  apiKey: import.meta.env.VITE_API_KEY,
});

function Picture({ prompt }) {
  const { status, src, error, retry } = useImage(client, { prompt });
  if (status === 'failed') {
    return (
      <p role="alert">
        {error.message}{' '}
        <button type="button" onClick={retry}>
          Again
        </button>
      </p>
    );
  }
  return <img src={src} alt={prompt} aria-busy={status === 'drawing'} />;
}

function App() {
  const [prompt, setPrompt] = React.useState('a happy cactus in the desert');
  const draw = (event) => {
    event.preventDefault();
    setPrompt(new FormData(event.currentTarget).get('prompt'));
  };
  return (
    <>
      <form onSubmit={draw}>
        <label>
          Prompt <input name="prompt" defaultValue={prompt} />
        </label>
        <button type="submit">Draw</button>
      </form>
      <Picture prompt={prompt} />
    </>
  );
}

createRoot(document.querySelector('main')).render(<App />);
