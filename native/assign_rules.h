/* The reference assigner: the rules of the course's hall_request_assigner.
 *
 * The assigner simulates all cars. Each car sees its own cab calls and every unassigned hall call. The first car to
 * clear a hall call gets it, and the other cars no longer see it.
 *
 * - Each car has a clock. The k-th car starts k microseconds late, and every later step is a multiple of 500 us.
 *   So two clocks of at most 500 cars are never equal.
 * - At the start, a moving car is half a floor from its next floor. An open door is half way through its door time. A
 *   car that is not moving gets both calls of its floor at once. If several such cars are at a floor, the last one gets
 *   the calls. The clock of each advances by the door time for each call.
 * - Then the cars move one at a time, always the car with the earliest clock. A move is to arrive and stop, to pass, to
 *   depart, or to serve the floor.
 * - The simulation ends early once there is a car at the floor of each unassigned call and no car has cab calls left,
 *   unless a floor had both calls at the start. Each unassigned call then goes to the car with the earliest clock at
 *   its floor.
 *
 * A clock counts in units of 100 ns and wraps around at 64 bits, as a Duration of the D language does. Durations may be
 * negative: a car stays the earliest while its clock runs backwards.
 *
 * The original marks an unassigned call with an empty owner. So a car with an empty id spends time on serving a call,
 * but the call stays unassigned. At the end, the car gets all unassigned calls.
 *
 * The simulation ends for all durations, even if all are 0. Proof: Take one car while calls are unassigned. It makes at
 * most 2 * floors moves between two changes of the calls that it sees:
 *
 * - It moves only towards a call ahead, so a sweep has at most floors - 1 moves and a stop.
 * - A stop clears a call, except if there is none here or ahead. The car then turns, and its next stop clears a call.
 * - A stationary car that stays has calls here and none ahead, so it clears one too.
 *
 * There are at most 3 * floors changes (up, down, own cab), so a car makes at most (3 * floors + 1) * 2 * floors moves.
 * With 64 floors and 64 cars, that is below 1.6 million moves of all cars. The proof does not hold for an empty id, and
 * in a large building the bound takes too long to reach. In these two cases, ASSIGN_MAX_MOVES ends the loop.
 *
 * The file that includes this one defines RULES_WORDS, the number of 64-bit words in a set of floors, and RULES_CARS.
 * The nodes' buildings fit one word, so the compiler removes every loop over words from their code.
 */
#include <assert.h>

#include "assign.h"

#define NO_CAR (-1)
#define WORD_BITS 64
#define RULES_FLOORS (WORD_BITS * RULES_WORDS)

/* The unit of clocks is 100 ns. */
#define UNITS_PER_US 10
#define UNITS_PER_MS 10000

struct floors {
    uint64_t words[RULES_WORDS];
};

struct car {
    int behaviour, floor, direction;
    struct floors cab;
};

struct share {
    struct floors up, down;
};

/* The clock of a car: when it makes its next move. */
struct clock {
    int64_t at; /* in units of 100 ns */
    int car;
};

struct simulation {
    int64_t door, travel;   /* in units of 100 ns */
    struct floors up, down; /* the unassigned hall calls */
    int n;
    int riding;    /* number of cars that have cab calls left */
    int ownerless; /* the car with the empty id, or NO_CAR */
    bool clear_all;
    bool has_crossing; /* some floor had both calls from the start */
    struct share out[RULES_CARS];
    struct car cars[RULES_CARS];
    struct clock queue[RULES_CARS]; /* the earliest first */
};

static int word_of(int floor)
{
    assert(0 <= floor && floor < RULES_FLOORS);
    return RULES_WORDS == 1 ? 0 : floor / WORD_BITS;
}

static uint64_t bit_of(int floor)
{
    return UINT64_C(1) << floor % WORD_BITS;
}

static bool has(const struct floors *calls, int floor)
{
    return (calls->words[word_of(floor)] & bit_of(floor)) != 0;
}

static bool is_empty(const struct floors *calls)
{
    uint64_t every = 0;
    for (int w = 0; w < RULES_WORDS; w++)
        every |= calls->words[w];
    return every == 0;
}

static bool any_above(const struct floors *calls, int floor)
{
    uint64_t above = calls->words[word_of(floor)] >> floor % WORD_BITS >> 1; /* a shift by 64 is undefined */
    for (int w = word_of(floor) + 1; w < RULES_WORDS; w++)
        above |= calls->words[w];
    return above != 0;
}

static bool any_below(const struct floors *calls, int floor)
{
    uint64_t below = calls->words[word_of(floor)] & (bit_of(floor) - 1);
    for (int w = 0; w < word_of(floor); w++)
        below |= calls->words[w];
    return below != 0;
}

static bool any_ahead(const struct floors *calls, int floor, int direction)
{
    return direction == UP ? any_above(calls, floor) : direction == DOWN && any_below(calls, floor);
}

/* Add signed times as the original does: modulo 2^64. */
static int64_t later(int64_t at, int64_t spent)
{
    return (int64_t)((uint64_t)at + (uint64_t)spent);
}

static struct floors seen_by(const struct simulation *sim, const struct car *car)
{
    struct floors seen;
    for (int w = 0; w < RULES_WORDS; w++)
        seen.words[w] = sim->up.words[w] | sim->down.words[w] | car->cab.words[w];
    return seen;
}

/* The end floors need no rule: nothing is ahead there. */
static bool should_stop(const struct simulation *sim, const struct car *car)
{
    if (car->direction == STOP || has(&car->cab, car->floor))
        return true;
    if (has(car->direction == UP ? &sim->up : &sim->down, car->floor))
        return true;
    struct floors seen = seen_by(sim, car);
    return !any_ahead(&seen, car->floor, car->direction);
}

static int choose_direction(const struct simulation *sim, const struct car *car)
{
    struct floors seen = seen_by(sim, car);
    int first = car->direction == UP ? UP : DOWN; /* from a standstill, down comes first */
    if (any_ahead(&seen, car->floor, first))
        return first;
    if (has(&seen, car->floor))
        return STOP;
    return any_ahead(&seen, car->floor, -first) ? -first : STOP;
}

/* Assign the calls *up* and *down*, in word *w* of the sets, to car *k* if they are unassigned. */
static void assign_calls(struct simulation *sim, int k, int w, uint64_t up, uint64_t down)
{
    if (k == sim->ownerless)
        return;
    sim->out[k].up.words[w] |= sim->up.words[w] & up;
    sim->out[k].down.words[w] |= sim->down.words[w] & down;
    sim->up.words[w] &= ~up;
    sim->down.words[w] &= ~down;
}

/* Clear the calls that car *k* serves if it stops at its floor in its direction. */
static void clear(struct simulation *sim, int k)
{
    struct car *car = &sim->cars[k];
    const int w = word_of(car->floor);
    const uint64_t here = bit_of(car->floor);
    uint64_t up = here, down = here;
    if (!sim->clear_all && car->direction != STOP) {
        /* The other direction is served only if this one has no call here or ahead. */
        struct floors seen = seen_by(sim, car);
        if (has(car->direction == UP ? &sim->up : &sim->down, car->floor) ||
            any_ahead(&seen, car->floor, car->direction)) {
            up = car->direction == UP ? here : 0;
            down = car->direction == DOWN ? here : 0;
        }
    }
    if ((car->cab.words[w] & here) != 0) {
        car->cab.words[w] &= ~here;
        sim->riding -= is_empty(&car->cab);
        assert(sim->riding >= 0);
    }
    assign_calls(sim, k, w, up, down);
}

/* Make one move with car *k* and return how long it takes. */
static int64_t move(struct simulation *sim, int k)
{
    struct car *car = &sim->cars[k];
    if (car->behaviour == ASSIGN_MOVING) {
        if (should_stop(sim, car)) {
            car->behaviour = ASSIGN_DOOR_OPEN;
            clear(sim, k);
            return sim->door;
        }
    } else {
        int direction = choose_direction(sim, car);
        if (direction == STOP) {
            /* A call is unassigned, since the loop runs. It is not above or below, so it is here. */
            assert(has(&sim->up, car->floor) || has(&sim->down, car->floor) || has(&car->cab, car->floor));
            car->behaviour = ASSIGN_DOOR_OPEN;
            clear(sim, k); /* in the previous direction */
            car->direction = STOP;
            return sim->door;
        }
        car->behaviour = ASSIGN_MOVING;
        car->direction = direction;
    }
    car->floor += car->direction;
    return sim->travel;
}

/* Insert *clock* into *queue*, which holds *n* clocks. */
static void enqueue(struct clock *queue, int n, struct clock clock)
{
    assert(0 <= n && n < RULES_CARS);
    while (n > 0 && queue[n - 1].at > clock.at) {
        queue[n] = queue[n - 1];
        n--;
    }
    queue[n] = clock;
}

/* Advance the first clock by *spent*, and move it to its new place in *queue*. */
static void requeue(struct clock *queue, int n, int64_t spent)
{
    struct clock clock = queue[0];
    int i = 0;
    clock.at = later(clock.at, spent);
    for (; i + 1 < n && queue[i + 1].at < clock.at; i++)
        queue[i] = queue[i + 1];
    queue[i] = clock;
}

/* Let each car take its first step, and queue the cars by their clocks. */
static void start(struct simulation *sim)
{
    const struct floors up = sim->up, down = sim->down;
    for (int k = sim->n - 1; k >= 0; k--) { /* backwards, because the last car at a floor gets its calls */
        struct car *car = &sim->cars[k];
        struct clock clock = {.at = k * UNITS_PER_US, .car = k};
        if (car->behaviour == ASSIGN_MOVING) {
            car->floor += car->direction;
            clock.at += sim->travel / 2;
        } else {
            clock.at += car->behaviour == ASSIGN_DOOR_OPEN ? sim->door / 2 : 0;
            clock.at += has(&up, car->floor) ? sim->door : 0;
            clock.at += has(&down, car->floor) ? sim->door : 0;
            assign_calls(sim, k, word_of(car->floor), bit_of(car->floor), bit_of(car->floor));
        }
        enqueue(sim->queue, sim->n - 1 - k, clock);
    }
}

/* Return whether the remaining calls can be handed out at once. */
static bool can_hand_out(const struct simulation *sim)
{
    struct floors occupied = {{0}};
    uint64_t unvisited = 0;
    if (sim->has_crossing || sim->riding > 0)
        return false;
    for (int k = 0; k < sim->n; k++)
        occupied.words[word_of(sim->cars[k].floor)] |= bit_of(sim->cars[k].floor);
    for (int w = 0; w < RULES_WORDS; w++)
        unvisited |= (sim->up.words[w] | sim->down.words[w]) & ~occupied.words[w];
    return unvisited == 0;
}

static void hand_out(struct simulation *sim)
{
    for (int i = 0; i < sim->n; i++) {
        int k = sim->queue[i].car, floor = sim->cars[k].floor;
        assign_calls(sim, k, word_of(floor), bit_of(floor), bit_of(floor));
    }
    if (sim->ownerless != NO_CAR)
        sim->out[sim->ownerless] = (struct share){sim->up, sim->down};
    else
        assert(is_empty(&sim->up) && is_empty(&sim->down));
}

static int simulate(struct simulation *sim)
{
    for (int moves = 0; !is_empty(&sim->up) || !is_empty(&sim->down); moves++) {
        if (can_hand_out(sim)) {
            hand_out(sim);
            return ASSIGN_OK;
        }
        if (moves == ASSIGN_MAX_MOVES)
            return ASSIGN_ENDLESS;
        requeue(sim->queue, sim->n, move(sim, sim->queue[0].car));
    }
    return ASSIGN_OK;
}

/* Assign the calls of *sim*. The caller has checked and set its up, down, n and cars. */
static int run(struct simulation *sim, const struct assign_params *params)
{
    assert(0 < sim->n && sim->n <= RULES_CARS);
    sim->door = params->door_ms * (int64_t)UNITS_PER_MS;
    sim->travel = params->travel_ms * (int64_t)UNITS_PER_MS;
    sim->clear_all = params->clear_all;
    sim->ownerless = params->has_empty_id ? 0 : NO_CAR;
    sim->has_crossing = false;
    for (int w = 0; w < RULES_WORDS; w++)
        sim->has_crossing |= (sim->up.words[w] & sim->down.words[w]) != 0;
    sim->riding = 0;
    for (int k = 0; k < sim->n; k++) {
        sim->riding += !is_empty(&sim->cars[k].cab);
        sim->out[k] = (struct share){{{0}}, {{0}}};
    }
    start(sim);
    return simulate(sim);
}
