"""A language model that plays a part: what it says is a function of what it is asked."""

from tamis.models.base import Generation, IncompleteError


class Player:
    """Answer by a script: a function of (prompt as text, how) to a text, or (text, finish).

    `asked` holds every prompt; `calls` how many were asked together. After `dies_after` calls
    it raises what a killed process would see; None from the script is no answer.
    """

    def __init__(self, script, *, dies_after=None, fingerprint="player"):
        self.script, self.dies_after = script, dies_after
        self.fingerprint = fingerprint
        self.asked, self.calls = [], []

    def __repr__(self):
        return "Player()"

    def generate(self, prompts, **how):
        if self.dies_after is not None and len(self.calls) >= self.dies_after:
            raise KeyboardInterrupt
        texts = [
            prompt if isinstance(prompt, str) else "\n".join(turn["content"] for turn in prompt)
            for prompt in prompts
        ]
        self.asked += texts
        self.calls.append((len(prompts), how))
        answers = [self._answer(text, how) for text in texts]
        if None in answers:
            reasons = {i: "HTTP 400 no" for i, said in enumerate(answers) if said is None}
            raise IncompleteError("some got no answer; ask again", answers, reasons)
        return answers

    def logprobs(self, prompts, continuations=None):
        raise NotImplementedError

    def _answer(self, text, how):
        said = [self.script(text, {**how, "draw": draw}) for draw in range(how.get("n", 1))]
        if None in said:
            return None
        pairs = [one if isinstance(one, tuple) else (one, "stop") for one in said]
        return Generation(tuple(text for text, _ in pairs), tuple(finish for _, finish in pairs))
