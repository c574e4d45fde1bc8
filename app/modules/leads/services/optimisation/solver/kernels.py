"""The compiled inner loops: Lagrangian bound, ants, local search. Import this only where it is used.

Plain loops over arrays, translated by numba, without the interpreter's lock, so that a thread may run them beside
an event loop. Random numbers come from a state of our own (splitmix64, Steele et al. 2014): numba's generator
belongs to the thread, and the same seed must give the same answer on whichever thread the next slice runs.

All of it is one file, for numba's cache takes machine code for fresh as long as the function's own file is: a loop
calling another file's would go on with what that was.

Words: cost `c[i, j]`, weight `a[i, j]`, capacity `b[i]`; agents i, k, l; jobs j; `who[j]` is the agent of job j,
`load[i]` what agent i carries. A solution may overload agents; each unit too much costs `alpha[i]`
(Yagiura, Ibaraki, Glover 2004, 2006), so that the search can cross what is infeasible.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])
I = NDArray[np.int64]  # noqa: E741 - read `I` for integers, `R` for reals, `B` for truths in signatures below
R = NDArray[np.float64]
B = NDArray[np.bool_]
U = NDArray[np.uint64]

EPS = 1e-9
HUGE = 1e300


def compiled(function: F) -> F:
    """Translate to machine code at the first call; later processes read it from numba's cache."""
    return cast("F", njit(cache=True, nogil=True)(function))


# -- random numbers ------------------------------------------------------------------------------------------


@compiled
def uniform(rng: U) -> float:
    """The next number in [0, 1)."""
    rng[0] += np.uint64(0x9E3779B97F4A7C15)
    z = rng[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled
def shuffle(items: I, rng: U) -> None:
    """Put items in a random order (Fisher and Yates)."""
    for last in range(len(items) - 1, 0, -1):
        other = int(uniform(rng) * (last + 1))
        items[last], items[other] = items[other], items[last]


# -- bound and prices ----------------------------------------------------------------------------------------


@compiled
def relaxed(c: I, a: I, b: I, ok: B, price: R, used: R) -> float:
    """The Lagrangian relaxation of the capacities at these prices: a lower bound; fills what each agent uses.

    L(p) = Σ_j min_i (c_ij + p_i a_ij) − Σ_i p_i b_i
    """
    m, n = c.shape
    bound = 0.0
    for i in range(m):
        used[i] = 0.0
        bound -= price[i] * b[i]
    for j in range(n):
        best, least = -1, HUGE
        for i in range(m):
            if ok[i, j]:
                adjusted = c[i, j] + price[i] * a[i, j]
                if adjusted < least:
                    best, least = i, adjusted
        used[best] += a[best, j]
        bound += least
    return bound


@compiled
def subgradient(c: I, a: I, b: I, ok: B, rounds: int, ceiling: float, price: R) -> float:
    """Prices of the capacities that make the bound large, by subgradient steps (Held, Wolfe, Crowder 1974).

    The step aims at a level a little above the best bound met; the distance grows while levels are reached and
    shrinks while they are not (Bertsekas, Nonlinear Programming, 1999, 6.3.1). `price` starts it and takes the
    best; answers the bound there. A bound above `ceiling`, which no assignment costs, ends it: then there is none.
    """
    m = len(b)
    at = price.copy()
    used = np.zeros(m)
    best = relaxed(c, a, b, ok, at, used)
    ahead, idle = 0.05 * abs(best) + 1.0, 0
    for _ in range(rounds):
        bound = relaxed(c, a, b, ok, at, used)
        if bound >= best + 0.5 * ahead:
            ahead *= 1.5
            idle = 0
        else:
            idle += 1
        if bound > best:
            best = bound
            price[:] = at
        if best > ceiling:
            break
        if idle >= 15:
            ahead *= 0.6
            idle = 0
            at[:] = price
            bound = relaxed(c, a, b, ok, at, used)
            if ahead < 1e-6 * max(1.0, abs(best)):
                break
        norm = 0.0
        for i in range(m):
            step = used[i] - b[i]
            if step > 0 or at[i] > 0:
                norm += step * step
        if norm <= EPS:
            break
        size = (best + ahead - bound) / norm
        for i in range(m):
            at[i] = max(0.0, at[i] + size * (used[i] - b[i]))
    return best


# -- solutions with overload ---------------------------------------------------------------------------------


@compiled
def over(load: int, capacity: int) -> int:
    """What an agent carries too much."""
    return load - capacity if load > capacity else 0


@compiled
def weigh(c: I, a: I, who: I, load: I) -> int:
    """Fill the loads of a solution; answers its cost without overload."""
    load[:] = 0
    total = 0
    for j in range(len(who)):
        load[who[j]] += a[who[j], j]
        total += c[who[j], j]
    return total


@compiled
def overload(load: I, b: I) -> int:
    """What all agents together carry too much."""
    total = 0
    for i in range(len(b)):
        total += over(load[i], b[i])
    return total


@compiled
def penalty(load: I, b: I, alpha: R) -> float:
    """What the overload costs."""
    total = 0.0
    for i in range(len(b)):
        total += alpha[i] * over(load[i], b[i])
    return total


@compiled
def move(a: I, who: I, load: I, changed: I, j: int, k: int) -> None:
    """Give job j to agent k, and note the time of the change at both agents."""
    i = who[j]
    load[i] -= a[i, j]
    load[k] += a[k, j]
    who[j] = k
    changed[-1] += 1
    changed[i] = changed[k] = changed[-1]


# -- local search --------------------------------------------------------------------------------------------


@compiled
def shift(c: I, a: I, b: I, alpha: R, near: I, who: I, load: I, order: I, changed: I, since: int) -> bool:
    """Give single jobs to the agent where they cost least; whether any moved."""
    moved = False
    for j in order:
        i = who[j]
        here = c[i, j] + alpha[i] * (over(load[i], b[i]) - over(load[i] - a[i, j], b[i]))
        best, least = -1, here - EPS
        for place in range(near.shape[1]):
            k = near[j, place]
            if k < 0:
                break
            if k != i and (changed[i] >= since or changed[k] >= since):
                there = c[k, j] + alpha[k] * (over(load[k] + a[k, j], b[k]) - over(load[k], b[k]))
                if there < least:
                    best, least = k, there
        if best >= 0:
            move(a, who, load, changed, j, best)
            moved = True
    return moved


@compiled
def swap(c: I, a: I, b: I, ok: B, alpha: R, who: I, load: I, order: I, changed: I, since: int) -> bool:
    """Exchange the agents of two jobs wherever that gains; whether any were."""
    n = len(who)
    moved = False
    for first in range(n):
        j = order[first]
        i = who[j]
        for second in range(first + 1, n):
            h = order[second]
            k = who[h]
            if k == i or (changed[i] < since and changed[k] < since) or not ok[k, j] or not ok[i, h]:
                continue
            gain = float(c[i, j] + c[k, h] - c[k, j] - c[i, h])
            here, there = load[i] - a[i, j] + a[i, h], load[k] - a[k, h] + a[k, j]
            gain += alpha[i] * (over(load[i], b[i]) - over(here, b[i]))
            gain += alpha[k] * (over(load[k], b[k]) - over(there, b[k]))
            if gain > EPS:
                move(a, who, load, changed, j, k)
                move(a, who, load, changed, h, i)
                i = k
                moved = True
    return moved


@compiled
def link(who: I, m: int, head: I, after: I, before: I) -> None:
    """Doubly linked lists of each agent's jobs: `head[i]`, then `after[j]`; -1 ends."""
    head[:m] = -1
    for j in range(len(who)):
        i = who[j]
        after[j], before[j] = head[i], -1
        if head[i] >= 0:
            before[head[i]] = j
        head[i] = j


@compiled
def relink(j: int, i: int, k: int, head: I, after: I, before: I) -> None:
    """Take job j out of the list of agent i, and put it at the head of that of agent k."""
    if before[j] >= 0:
        after[before[j]] = after[j]
    else:
        head[i] = after[j]
    if after[j] >= 0:
        before[after[j]] = before[j]
    after[j], before[j] = head[k], -1
    if head[k] >= 0:
        before[head[k]] = j
    head[k] = j


@compiled
def shifted(c: I, a: I, b: I, alpha: R, load: I, j: int, i: int, k: int) -> float:
    """What giving job j of agent i to agent k costs, overload included; negative is a gain."""
    left = over(load[i] - a[i, j], b[i]) - over(load[i], b[i])
    come = over(load[k] + a[k, j], b[k]) - over(load[k], b[k])
    return float(c[k, j] - c[i, j] + alpha[i] * left + alpha[k] * come)


@compiled
def cheapest_exit(
    c: I, a: I, b: I, alpha: R, near: I, load: I, width: int, head: I, after: I, i: int, driver: int
) -> tuple[int, int]:
    """Which job agent i gives up most cheaply, other than the one that has just come, and to whom; or (-1, -1)."""
    job, goal, least = -1, -1, HUGE
    h = head[i]
    while h >= 0:
        if h != driver:
            for place in range(width):
                k = near[h, place]
                if k < 0:
                    break
                if k != i:
                    change = shifted(c, a, b, alpha, load, h, i, k)
                    if change < least:
                        job, goal, least = h, k, change
        h = after[h]
    return job, goal


@compiled
def take_back(a: I, who: I, load: I, changed: I, head: I, after: I, before: I, moves: I, length: int) -> None:
    """Undo the moves of a chain, the last first, as if they had never been."""
    for back in range(length - 1, -1, -1):
        j, home = moves[back, 0], moves[back, 1]
        left = who[j]
        relink(j, left, home, head, after, before)
        move(a, who, load, changed, j, home)
        changed[home], changed[left] = moves[back, 2], moves[back, 3]


@compiled
def eject(
    c: I,
    a: I,
    b: I,
    alpha: R,
    near: I,
    who: I,
    load: I,
    order: I,
    breadth: int,
    depth: int,
    head: I,
    after: I,
    before: I,
    moves: I,
    changed: I,
    since: int,
) -> bool:
    """Ejection chains: job j drives another out of its new agent, that one the next, and so on; whether any gained.

    From each job and each of its `breadth` likeliest agents a chain grows greedily up to `depth` moves, through
    overloaded solutions, and ends at the first total gain; a chain without one is taken back
    (Yagiura, Ibaraki, Glover 2004).
    """
    gained = False
    link(who, len(b), head, after, before)
    width = min(breadth, near.shape[1])
    for j in order:
        for place in range(width):
            goal = near[j, place]
            if goal < 0:
                break
            if goal == who[j] or (changed[goal] < since and changed[who[j]] < since):
                continue
            clock = changed[-1]
            total, length, moving = 0.0, 0, j
            while moving >= 0:
                i = who[moving]
                total += shifted(c, a, b, alpha, load, moving, i, goal)
                moves[length, 0], moves[length, 1] = moving, i
                moves[length, 2], moves[length, 3] = changed[i], changed[goal]
                length += 1
                move(a, who, load, changed, moving, goal)
                relink(moving, i, goal, head, after, before)
                if total < -EPS or length == depth:
                    break
                moving, goal = cheapest_exit(c, a, b, alpha, near, load, width, head, after, goal, moving)
            if total < -EPS:
                gained = True
            else:
                take_back(a, who, load, changed, head, after, before, moves, length)
                changed[-1] = clock
    return gained


@compiled
def improve(
    c: I, a: I, b: I, ok: B, alpha: R, near: I, who: I, load: I, rng: U, breadth: int, depth: int, changed: I
) -> None:
    """Shift, swap and eject until none of them gains: a local optimum of cost plus penalty.

    `changed[i]` is when agent i last changed, `changed[m]` the time; moves between agents that have not changed
    since a neighbourhood was last searched are not tried again. It comes in with 1 for the agents that the ant
    touched and 0 for the others, whose jobs were a local optimum before.
    """
    n, m = len(who), len(b)
    order = np.arange(n)
    head, after, before = np.empty(m, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    moves = np.empty((max(depth, 1), 4), np.int64)
    shuffle(order, rng)
    changed[m] = 1
    shifted_at, swapped_at, ejected_at = 1, 1, 1
    while True:
        searching = True
        while searching:
            since = shifted_at
            shifted_at = changed[m] + 1
            searching = shift(c, a, b, alpha, near, who, load, order, changed, since)
        since = swapped_at
        swapped_at = changed[m] + 1
        if swap(c, a, b, ok, alpha, who, load, order, changed, since):
            continue
        since = ejected_at
        ejected_at = changed[m] + 1
        if depth < 2 or not eject(
            c, a, b, alpha, near, who, load, order, breadth, depth, head, after, before, moves, changed, since
        ):
            return


# -- ants ----------------------------------------------------------------------------------------------------


@compiled
def free_some(who: I, m: int, worth: R, rng: U, freed: I) -> int:
    """Which jobs an ant decides anew, the rest it takes over; how many. At random one of three ways:
    all jobs; all jobs of a few agents; or single jobs, rather those that stand at a disadvantage (`worth`).
    """
    n = len(who)
    count = 0
    way = uniform(rng)
    if way < 0.01:
        for j in range(n):
            freed[j] = j
        return n
    if way < 0.3 and m > 2:
        chosen = np.zeros(m, dtype=np.bool_)
        for _ in range(2 + int(uniform(rng) * min(3, m - 2))):
            chosen[int(uniform(rng) * m)] = True
        for j in range(n):
            if chosen[who[j]] and uniform(rng) < 0.8:
                freed[count] = j
                count += 1
        return count
    share = (2.0 + 10.0 * uniform(rng)) / n
    for j in range(n):
        if uniform(rng) < share * (1.0 + 2.0 * worth[who[j], j]):
            freed[count] = j
            count += 1
    return count


@compiled
def construct(
    a: I, b: I, desire: R, trail: R, near: I, who: I, load: I, freed: I, count: int, rng: U, changed: I
) -> None:
    """Give the freed jobs, in random order, to agents with room, with probability ∝ trail × desire.

    A job that fits nowhere goes where trail × desire per unit of overload is largest; the local search repairs.
    """
    order = freed[:count].copy()
    shuffle(order, rng)
    changed[:] = 0
    for j in order:
        load[who[j]] -= a[who[j], j]
        changed[who[j]] = 1
    odds = np.empty(near.shape[1])
    for j in order:
        total = 0.0
        rescue, most = near[j, 0], -1.0
        width = 0
        for place in range(near.shape[1]):
            k = near[j, place]
            if k < 0:
                break
            width = place + 1
            weight = trail[k, j] * desire[k, j]
            excess = load[k] + a[k, j] - b[k]
            if excess <= 0:
                odds[place] = weight
                total += weight
            else:
                odds[place] = 0.0
                if weight / excess > most:
                    rescue, most = k, weight / excess
        chosen = rescue
        if total > 0.0:
            left = uniform(rng) * total
            for place in range(width):
                if odds[place] > 0.0:
                    chosen = near[j, place]
                    left -= odds[place]
                    if left < 0.0:
                        break
        who[j] = chosen
        load[chosen] += a[chosen, j]
        changed[chosen] = 1


@compiled
def reinforce(trail: R, who: I, evaporation: float, floor: float) -> None:
    """Evaporate, and let one solution deposit; trails stay in [floor, 1] (Stützle and Hoos 2000).

    Deposits are normalised as in the hyper-cube framework (Blum and Dorigo 2004), so that τ_max is 1 whatever the
    size of the costs.
    """
    m, n = trail.shape
    for i in range(m):
        for j in range(n):
            trail[i, j] = max(floor, trail[i, j] * (1.0 - evaporation))
    for j in range(n):
        trail[who[j], j] = min(1.0, trail[who[j], j] + evaporation)


BEST, FOUND, IDLE, DONE, RESTARTS = 0, 1, 2, 3, 4
"""What `tally` counts: least feasible cost, whether there is one, iterations without gain, iterations, restarts."""


@compiled
def settle_penalty(alpha: R, least: R, feasible: int, ants: int) -> None:
    """Make overload dearer while most ants end overloaded, cheaper while hardly any does."""
    factor = 1.0
    if 4 * feasible < ants:
        factor = 1.15
    elif 4 * feasible > 3 * ants:
        factor = 0.93
    for i in range(len(alpha)):
        alpha[i] = min(max(alpha[i] * factor, least[i]), least[i] * 1e6)


@compiled
def keep_if_better(cost: int, who: I, best: I, tally: I) -> None:
    """Remember a feasible solution that is better than all before."""
    if tally[FOUND] == 0 or cost < tally[BEST]:
        tally[BEST], tally[FOUND], tally[IDLE] = cost, 1, 0
        best[:] = who


@compiled
def start_anew(c: I, a: I, b: I, desire: R, trail: R, near: I, base: I, best: I, tally: I, rng: U) -> None:
    """Build the solution that ants take over from nothing."""
    m, n = c.shape
    load, freed, changed = np.zeros(m, np.int64), np.arange(n), np.zeros(m + 1, np.int64)
    base[:] = near[:, 0]
    weigh(c, a, base, load)
    construct(a, b, desire, trail, near, base, load, freed, n, rng, changed)
    cost = weigh(c, a, base, load)
    if overload(load, b) == 0:
        keep_if_better(cost, base, best, tally)


@compiled
def colony(
    c: I,
    a: I,
    b: I,
    ok: B,
    near: I,
    desire: R,
    worth: R,
    trail: R,
    alpha: R,
    least: R,
    base: I,
    best: I,
    tally: I,
    rng: U,
    iterations: int,
    ants: int,
    breadth: int,
    depth: int,
    evaporation: float,
    floor: float,
    patience: int,
) -> None:
    """Run iterations of the colony; everything it remembers is in the arrays, so that slices make one run.

    An iteration: each ant takes over a part of `base`, builds the rest along trails and desire, and improves it.
    The iteration's best becomes the base unless it is worse; mostly it deposits, at times the best of all does.
    After `patience` iterations without a better solution trails and base start anew.
    """
    m, n = c.shape
    who, load = np.empty(n, np.int64), np.zeros(m, np.int64)
    changed = np.zeros(m + 1, np.int64)
    champion, freed = np.empty(n, np.int64), np.empty(n, np.int64)
    for _ in range(iterations):
        tally[DONE] += 1
        tally[IDLE] += 1
        leading, feasible = HUGE, 0
        for _ant in range(ants):
            who[:] = base
            weigh(c, a, who, load)
            count = free_some(who, m, worth, rng, freed)
            construct(a, b, desire, trail, near, who, load, freed, count, rng, changed)
            improve(c, a, b, ok, alpha, near, who, load, rng, breadth, depth, changed)
            cost = weigh(c, a, who, load)
            if overload(load, b) == 0:
                feasible += 1
                keep_if_better(cost, who, best, tally)
            priced = cost + penalty(load, b, alpha)
            if priced < leading:
                leading = priced
                champion[:] = who
        standing = float(weigh(c, a, base, load))
        standing += penalty(load, b, alpha)
        if leading <= standing:
            base[:] = champion
        elif tally[FOUND] == 1 and uniform(rng) < 0.02:
            base[:] = best
        if tally[FOUND] == 1 and uniform(rng) < 0.2:
            reinforce(trail, best, evaporation, floor)
        else:
            reinforce(trail, champion, evaporation, floor)
        settle_penalty(alpha, least, feasible, ants)
        if tally[IDLE] > 0 and tally[IDLE] % patience == 0:
            tally[RESTARTS] += 1
            trail[:] = 1.0
            start_anew(c, a, b, desire, trail, near, base, best, tally, rng)
