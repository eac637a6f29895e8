/**
 * The theme that was chosen on this device, before anything is painted. Without a choice the system's holds.
 *
 * A classic script on purpose: modules run after the first paint.
 */
(() => {
  const KEY = 'pixart-theme';
  const CHOICES = ['system', 'light', 'dark'];

  function readChoice() {
    try {
      const kept = localStorage.getItem(KEY);
      return CHOICES.includes(kept) ? kept : 'system';
    } catch {
      // Storage is forbidden: the system's theme it is.
      return 'system';
    }
  }

  function apply(choice) {
    if (choice === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
  }

  function label(button, choice) {
    const text = choice === 'system' ? 'as the system' : choice;
    button.setAttribute('aria-label', `Theme: ${text}`);
    button.title = `Theme: ${text}`;
  }

  let choice = readChoice();
  apply(choice);
  document.addEventListener('DOMContentLoaded', () => {
    const button = document.querySelector('#theme');
    label(button, choice);
    button.addEventListener('click', () => {
      choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
      apply(choice);
      label(button, choice);
      try {
        localStorage.setItem(KEY, choice);
      } catch {
        // Forgotten with the page, then.
      }
    });
  });
})();
