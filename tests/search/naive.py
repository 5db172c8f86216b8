"""A slow, obvious twin of `search.core.kernels`: dictionaries keyed by frozensets.

It exists to be compared with the compiled search, not to be used.
"""

import math

NEW, PENDING, SCORED, UNSCORED = "new", "pending", "scored", "unscored"


class Ambiguous(Exception):
    """Two selection scores differ by rounding alone: which one wins is not the equations' to say."""


class Node:
    def __init__(self):
        self.status = NEW
        self.score = math.nan
        self.value = math.nan
        self.visits = 0
        self.exhausted = False
        self.linked = set()  # attributes whose child has been looked at from here
        self.edge_visits = {}
        self.flying = {}
        self.prior = {}


class NaiveSearch:
    """Monte Carlo graph search over frozensets of attributes.

    `prior`: function of a frozenset giving {attribute: probability}, or None = uniform.
    """

    def __init__(self, known, askable, budget, exploration, *, uct=False, mean=False, prior=None):
        self.root = frozenset(known)
        self.askable = frozenset(askable) - self.root
        self.budget = min(budget, len(self.askable))
        self.exploration = exploration
        self.uct = uct
        self.mean = mean
        self.prior = prior
        self.nodes = {self.root: Node()}
        self.gains = {}  # attribute: (how often, mean gain)
        self.seen = []  # all scores, for the scale

    def run(self, score, num_simulations, batch_size=1):
        """Search; return how many simulations ran. `score`: function of a frozenset, NaN = unscored."""
        ran = 0
        while ran < num_simulations:
            size = min(batch_size if ran else 1, num_simulations - ran)
            ways = self.select_batch(size)
            if not ways:
                break
            self.backup_batch(ways, [score(self.leaf(way)) for way in ways])
            ran += len(ways)
        return ran

    def leaf(self, way):
        return self.root.union(way)

    def sets_along(self, way):
        return [self.root.union(way[:d]) for d in range(len(way) + 1)]

    # Selection: `way` is the tuple of attributes from the root to a leaf.

    def select_batch(self, size):
        ways = []
        while len(ways) < size:
            way = self.select()
            if way is None:
                break
            leaf = self.nodes[self.leaf(way)]
            if leaf.status == NEW:
                leaf.status = PENDING
            for here, a in zip(self.sets_along(way), way, strict=False):
                flying = self.nodes[here].flying
                flying[a] = flying.get(a, 0) + 1
            ways.append(way)
        return ways

    def select(self):
        """Return the way to a leaf, or None: all is scored, or a leaf in flight was met."""
        while not self.nodes[self.root].exhausted:
            way = ()
            while True:
                here = self.root.union(way)
                node = self.nodes[here]
                at_end = len(way) == self.budget
                if node.status == NEW or (at_end and node.status == SCORED and self.mean):
                    return way
                if node.status == PENDING:
                    return None
                choice = None if at_end else self.choose(here, node)
                if choice is None:
                    node.exhausted = True
                    break  # from the root again
                child = self.nodes.setdefault(here | {choice}, Node())
                if choice not in node.linked:
                    node.linked.add(choice)
                    if not self.mean:  # somebody else's child may be worth something already
                        node.value = higher(node.value, child.value)
                    if child.exhausted:
                        continue  # choose again
                way += (choice,)
        return None

    def choose(self, here, node):
        """Return the attribute of the highest selection score, the lowest among equals, or None."""
        scores = {}
        for a in sorted(self.askable - here):
            if a in node.linked and self.nodes[here | {a}].exhausted:
                continue
            scores[a] = self.selection_score(here, node, a)
        if not scores:
            return None
        best = max(scores.values())
        near = [s for s in scores.values() if s == best or abs(s - best) < 1e-10]
        if any(s != best for s in near):
            raise Ambiguous
        return min(a for a in scores if scores[a] == best)

    def selection_score(self, here, node, a):
        total = max(1, node.visits)  # N(n): an unscored set has no visit of its own
        n = node.edge_visits.get(a, 0)
        flying = node.flying.get(a, 0)
        if self.uct and n + flying == 0:
            return math.inf
        q = self.base(node) if a not in node.linked else self.child_value(here, node, a)
        if flying:  # each a visit that scored the lowest score seen, after one more that did not
            q = (q * (1 + n) + self.lowest() * flying) / (1 + n + flying)
        unit = self.exploration * self.spread()
        if self.uct:
            return q + math.sqrt(unit**2 * math.log(total) / (n + flying))
        legal = len(self.askable - here)
        bonus = unit * math.sqrt(total)
        weight = bonus / legal if self.prior is None else bonus * node.prior.get(a, 0.0)
        # Times the reciprocal, as compiled code has it: equal scores have to be equal to the last bit.
        return q + weight * (1.0 / (1 + n + flying)) + self.brought_elsewhere(node, a)

    def base(self, node):
        """Value of a child that has none of its own."""
        value = node.value if self.mean or math.isnan(node.score) else node.score
        return self.lowest() if math.isnan(value) else value

    def brought_elsewhere(self, node, a):
        """Mean gain of `a` so far: what an edge not looked at is expected to bring."""
        return 0.0 if self.mean or a in node.linked else self.gains.get(a, (0, 0.0))[1]

    def child_value(self, here, node, a):
        value = self.nodes[here | {a}].value
        return self.base(node) if math.isnan(value) else value

    def lowest(self):
        return min(self.seen, default=0.0)

    def spread(self):
        return max(self.seen, default=0.0) - self.lowest() or 1.0

    # Backup

    def backup_batch(self, ways, scores):
        if self.prior is not None:
            for way in ways:
                node = self.nodes[self.leaf(way)]
                if node.status == PENDING:
                    node.prior = self.prior(self.leaf(way))
        for way in ways:
            for here, a in zip(self.sets_along(way), way, strict=False):
                self.nodes[here].flying[a] -= 1
        for way, score in zip(ways, scores, strict=True):
            self.backup(way, score)

    def backup(self, way, score):
        sets = self.sets_along(way)
        leaf = self.nodes[sets[-1]]
        if leaf.status == PENDING:
            at_end = len(way) == self.budget
            if math.isnan(score):
                leaf.status = UNSCORED
                leaf.exhausted = at_end
                return
            leaf.status = SCORED
            leaf.score = leaf.value = score
            leaf.exhausted = at_end and not self.mean
            self.seen.append(score)
            if way and self.nodes[sets[-2]].status == SCORED:
                self.add_gain(way[-1], score - self.nodes[sets[-2]].score)
        leaf.visits += 1
        for here, a in reversed(list(zip(sets, way, strict=False))):
            node = self.nodes[here]
            node.visits += 1
            node.edge_visits[a] = node.edge_visits.get(a, 0) + 1
            if self.mean:
                node.value = self.mean_value(here, node)
            else:
                node.value = higher(node.value, self.nodes[here | {a}].value)

    def add_gain(self, a, gain):
        count, mean = self.gains.get(a, (0, 0.0))
        self.gains[a] = (count + 1, mean + (gain - mean) / (count + 1))

    def mean_value(self, here, node):
        own = [(1, node.score)] if node.status == SCORED else []
        below = [(n, self.nodes[here | {a}].value) for a, n in sorted(node.edge_visits.items())]
        return sum(n * v for n, v in own + below) / sum(n for n, _ in own + below)


def higher(a, b):
    """Return the larger of two values, NaN counting as none."""
    if math.isnan(a) or math.isnan(b):
        return b if math.isnan(a) else a
    return max(a, b)
