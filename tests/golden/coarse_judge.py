"""A judge of a user's own under which many sets tie: what is left to decide are the rules for ties."""


class CoarseJudge:
    """Half a point for each known attribute of every other one in the schema, up to three of them."""

    name = "coarse"
    simulated = True

    def score(self, scenario, contexts):
        useful = set(scenario.schema.names[len(scenario.id) % 2 :: 2])
        return [2.0 + min(3, len(useful.intersection(known))) / 2 for known in contexts]
