"""The Cog runner against the real Node process: `BUNDLE` names a converted model, `RUN_PY` the runner.

With the `cog` package installed it is used; else a stand-in of the names that the runner imports.
"""

import importlib.util
import inspect
import os
import pathlib
import sys
import unittest
import urllib.request

if importlib.util.find_spec("cog") is None:
    sys.path.insert(0, str(pathlib.Path(__file__).parent / "standin"))

spec = importlib.util.spec_from_file_location("run", os.environ["RUN_PY"])
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


def draw(runner, **fields):
    """The pictures of one prediction, with the defaults that Cog would fill in."""
    defaults = {
        name: getattr(parameter.default, "default", parameter.default)
        for name, parameter in inspect.signature(runner.run).parameters.items()
        if name != "prompt"
    }
    return runner.run(**{**defaults, **fields})


class RunnerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.runner = run.Runner()
        cls.runner.setup()

    @classmethod
    def tearDownClass(cls):
        cls.runner.close()

    def test_draws_a_png(self):
        pictures = list(draw(self.runner, prompt="a red apple", seed=3))
        self.assertEqual(len(pictures), 1)
        data = pictures[0].read_bytes()
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(pictures[0].suffix, ".png")

    def test_gives_each_picture_when_it_is_done(self):
        pictures = draw(self.runner, prompt="a cat", seed=1, num_outputs=2, output_format="webp")
        first, second = next(pictures), next(pictures)
        self.assertEqual(first.suffix, ".webp")
        self.assertNotEqual(first.read_bytes(), second.read_bytes())
        self.assertEqual(list(pictures), [])

    def test_same_seed_same_bytes(self):
        one, two = (list(draw(self.runner, prompt="a cat", seed=5))[0].read_bytes() for _ in "ab")
        self.assertEqual(one, two)

    def test_refuses_in_the_words_of_the_function(self):
        with self.assertRaisesRegex(ValueError, "width: 100 is not a multiple of 16"):
            list(draw(self.runner, prompt="a cat", width=100))

    def test_stops_the_work_when_it_is_left(self):
        pictures = draw(self.runner, prompt="a cat", num_outputs=10, num_inference_steps=8)
        next(pictures)
        pictures.close()
        # The next one waits until the first has let go of the worker, which it does as a canceled one.
        self.assertEqual(len(list(draw(self.runner, prompt="a dog"))), 1)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.runner.port}/metrics") as response:
            metrics = response.read().decode()
        self.assertIn('predictions_total{status="canceled"} 1\n', metrics)

    def test_is_healthy(self):
        self.assertTrue(self.runner.healthcheck())


class LifeTest(unittest.TestCase):
    def test_says_why_a_model_does_not_load(self):
        runner = run.Runner()
        good = os.environ["BUNDLE"]
        os.environ["BUNDLE"] = good + "-missing"
        try:
            with self.assertRaisesRegex(RuntimeError, "could not be loaded"):
                runner.setup()
        finally:
            os.environ["BUNDLE"] = good
            runner.close()

    def test_notices_that_the_function_is_gone(self):
        runner = run.Runner()
        runner.setup()
        runner.process.kill()
        runner.process.wait()
        self.assertFalse(runner.healthcheck())
        with self.assertRaises(OSError):
            list(draw(runner, prompt="a cat"))
        runner.close()


if __name__ == "__main__":
    unittest.main()
