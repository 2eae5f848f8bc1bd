/* The reference assigner: the rules of the course's hall_request_assigner.
 *
 * All cars are simulated as if each saw every unassigned hall call beside its own cab calls. Whoever would clear a call
 * first gets it; then nobody else sees it any more.
 *
 * - Each car has a clock. The k-th car starts k microseconds late and all that is added later are multiples of 500 us,
 *   so two clocks are never equal with at most 64 cars: that is the whole tie-break.
 * - At the start a moving car is half a floor from its next floor; a car with its door open is half way through its
 *   door time. A car that is not moving takes both calls of its floor at once. If several stand there, the last one
 *   gets them, but each of them pays the time.
 * - Then the car with the earliest clock makes one move: arrive and stop, or pass on, or set out, or serve its floor.
 * - If no car has cab calls left, no floor had both calls from the start, and a car is at every unassigned call, then
 *   the rest is handed out at once, earliest clock first.
 *
 * Why it ends, whatever the clocks do (all durations may be 0). Look at one car, while calls are unassigned, between
 * two changes of what it sees. It moves on only towards a call ahead, so a sweep has at most floors - 1 moves and a
 * stop. A stop clears nothing only if nothing is here and nothing ahead; the car then turns to where calls are, and
 * its next stop clears one, which changes what it sees. A standing car that stays has calls here and none ahead, so it
 * clears one too. Hence at most 2 * floors moves between two changes. There are at most 3 * floors changes (up, down,
 * own cab), so a car makes at most (3 * floors + 1) * 2 * floors moves, and the loop ends after n times as many.
 */
#include "assign.h"

enum { DOWN = -1, STOP = 0, UP = 1 };

/* When a car makes its next move. */
struct turn {
    int64_t at_us;
    int car;
};

struct simulation {
    int64_t door_us, travel_us;
    uint64_t up, down; /* the unassigned hall calls */
    int floors, n;
    bool clear_all;
    bool has_crossing; /* some floor had both calls from the start */
    struct assign_share *out;
    struct assign_car cars[ASSIGN_MAX_CARS];
    struct turn queue[ASSIGN_MAX_CARS]; /* ascending in time */
};

static uint64_t bit(int floor)
{
    return UINT64_C(1) << floor;
}

static bool any_above(uint64_t calls, int floor)
{
    return calls >> floor >> 1 != 0; /* in two steps: a shift by 64 would be undefined */
}

static bool any_below(uint64_t calls, int floor)
{
    return (calls & (bit(floor) - 1)) != 0;
}

static bool any_ahead(uint64_t calls, int floor, int direction)
{
    return direction == UP ? any_above(calls, floor) : direction == DOWN && any_below(calls, floor);
}

static uint64_t seen_by(const struct simulation *sim, const struct assign_car *car)
{
    return sim->up | sim->down | car->cab;
}

/* The end floors need no rule: nothing is ahead there. */
static bool should_stop(const struct simulation *sim, const struct assign_car *car)
{
    if (car->direction == STOP)
        return true;
    uint64_t wanted = car->cab | (car->direction == UP ? sim->up : sim->down);
    return (wanted & bit(car->floor)) != 0 || !any_ahead(seen_by(sim, car), car->floor, car->direction);
}

static int choose_direction(const struct simulation *sim, const struct assign_car *car)
{
    uint64_t calls = seen_by(sim, car);
    int first = car->direction == UP ? UP : DOWN; /* from a standstill, down comes first */
    if (any_ahead(calls, car->floor, first))
        return first;
    if ((calls & bit(car->floor)) != 0)
        return STOP;
    return any_ahead(calls, car->floor, -first) ? -first : STOP;
}

/* Give car *k* those calls of the floors *up* and *down* that are unassigned. */
static void take(struct simulation *sim, int k, uint64_t up, uint64_t down)
{
    sim->out[k].up |= sim->up & up;
    sim->out[k].down |= sim->down & down;
    sim->up &= ~up;
    sim->down &= ~down;
}

/* Let car *k* serve its floor, as a car with its direction does. */
static void clear(struct simulation *sim, int k)
{
    struct assign_car *car = &sim->cars[k];
    uint64_t here = bit(car->floor), up = here, down = here;
    if (!sim->clear_all && car->direction != STOP) {
        /* The other direction is served only if there is no call in this one to go on for. */
        uint64_t same = car->direction == UP ? sim->up : sim->down;
        if ((same & here) != 0 || any_ahead(seen_by(sim, car), car->floor, car->direction)) {
            up = car->direction == UP ? here : 0;
            down = car->direction == DOWN ? here : 0;
        }
    }
    car->cab &= ~here;
    take(sim, k, up, down);
}

/* Make one move with car *k* and return how long it takes. */
static int64_t move(struct simulation *sim, int k)
{
    struct assign_car *car = &sim->cars[k];
    if (car->behaviour == ASSIGN_MOVING) {
        if (should_stop(sim, car)) {
            car->behaviour = ASSIGN_DOOR_OPEN;
            clear(sim, k);
            return sim->door_us;
        }
    } else {
        int direction = choose_direction(sim, car);
        if (direction == STOP) { /* So there is a call here: without any, the loop would have ended. */
            car->behaviour = ASSIGN_DOOR_OPEN;
            clear(sim, k); /* in the direction of before */
            car->direction = STOP;
            return sim->door_us;
        }
        car->behaviour = ASSIGN_MOVING;
        car->direction = direction;
    }
    car->floor += car->direction;
    return sim->travel_us;
}

/* Insert *turn* into the first *n* of the queue. */
static void enqueue(struct turn *queue, int n, struct turn turn)
{
    while (n > 0 && queue[n - 1].at_us > turn.at_us) {
        queue[n] = queue[n - 1];
        n--;
    }
    queue[n] = turn;
}

/* Put the first of the queue where it belongs, *spent_us* later. The rest is in order already. */
static void requeue(struct turn *queue, int n, int64_t spent_us)
{
    struct turn turn = queue[0];
    int i = 0;
    turn.at_us += spent_us;
    for (; i + 1 < n && queue[i + 1].at_us < turn.at_us; i++)
        queue[i] = queue[i + 1];
    queue[i] = turn;
}

/* Make the initial move of all cars. */
static void start(struct simulation *sim)
{
    const uint64_t up = sim->up, down = sim->down;
    for (int k = sim->n - 1; k >= 0; k--) { /* backwards, because the last car at a floor gets its calls */
        struct assign_car *car = &sim->cars[k];
        struct turn turn = {.at_us = k, .car = k};
        if (car->behaviour == ASSIGN_MOVING) {
            car->floor += car->direction;
            turn.at_us += sim->travel_us / 2;
        } else {
            uint64_t here = bit(car->floor);
            turn.at_us += car->behaviour == ASSIGN_DOOR_OPEN ? sim->door_us / 2 : 0;
            turn.at_us += (up & here) != 0 ? sim->door_us : 0;
            turn.at_us += (down & here) != 0 ? sim->door_us : 0;
            take(sim, k, here, here);
        }
        enqueue(sim->queue, sim->n - 1 - k, turn);
    }
}

/* Tell whether the rest can be handed out at once. */
static bool is_handout(const struct simulation *sim)
{
    uint64_t occupied = 0;
    if (sim->has_crossing)
        return false;
    for (int k = 0; k < sim->n; k++) {
        if (sim->cars[k].cab != 0)
            return false;
        occupied |= bit(sim->cars[k].floor);
    }
    return ((sim->up | sim->down) & ~occupied) == 0;
}

static void hand_out(struct simulation *sim)
{
    for (int i = 0; i < sim->n; i++) {
        int k = sim->queue[i].car;
        uint64_t here = bit(sim->cars[k].floor);
        take(sim, k, here, here);
    }
}

static int run(struct simulation *sim)
{
    const int floors = sim->floors;
    const int bound = sim->n * (3 * floors + 1) * 2 * floors; /* proved at the top; below 1.6 million */
    for (int moves = 0; (sim->up | sim->down) != 0; moves++) {
        if (is_handout(sim)) {
            hand_out(sim);
            return ASSIGN_OK;
        }
        if (moves == bound)
            return ASSIGN_ENDLESS;
        requeue(sim->queue, sim->n, move(sim, sim->queue[0].car));
    }
    return ASSIGN_OK;
}

static bool in_range(int value, int low, int high)
{
    return low <= value && value <= high;
}

static int check_car(const struct assign_car *car, int floors, uint64_t outside)
{
    if (!in_range(car->behaviour, ASSIGN_IDLE, ASSIGN_DOOR_OPEN))
        return ASSIGN_BEHAVIOUR;
    if (!in_range(car->floor, 0, floors - 1))
        return ASSIGN_FLOOR;
    if (!in_range(car->direction, DOWN, UP))
        return ASSIGN_DIRECTION;
    if (car->behaviour == ASSIGN_MOVING && !in_range(car->floor + car->direction, 0, floors - 1))
        return ASSIGN_LEAVING;
    return (car->cab & outside) != 0 ? ASSIGN_CAB : ASSIGN_OK;
}

int assign_check(const struct assign_params *params, uint64_t hall, const struct assign_car *cars, int n)
{
    if (!in_range(params->floors, 1, ASSIGN_MAX_FLOORS))
        return ASSIGN_FLOORS;
    if (!in_range(params->door_ms, 0, ASSIGN_MAX_MS))
        return ASSIGN_DOOR;
    if (!in_range(params->travel_ms, 0, ASSIGN_MAX_MS))
        return ASSIGN_TRAVEL;
    const uint64_t outside = params->floors == ASSIGN_MAX_FLOORS ? 0 : ~(bit(params->floors) - 1);
    if ((hall & outside) != 0)
        return ASSIGN_HALL;
    if (!in_range(n, 1, ASSIGN_MAX_CARS))
        return ASSIGN_CARS;
    for (int k = 0; k < n; k++) {
        int status = check_car(&cars[k], params->floors, outside);
        if (status != ASSIGN_OK)
            return status;
    }
    return ASSIGN_OK;
}

int assign_reference(const struct assign_params *params, uint64_t up, uint64_t down, const struct assign_car *cars,
                     int n, struct assign_share *out)
{
    struct simulation sim;
    int status = assign_check(params, up | down, cars, n);
    if (status != ASSIGN_OK)
        return status;
    sim.door_us = params->door_ms * INT64_C(1000);
    sim.travel_us = params->travel_ms * INT64_C(1000);
    sim.up = up;
    sim.down = down;
    sim.floors = params->floors;
    sim.n = n;
    sim.clear_all = params->clear_all;
    sim.has_crossing = (up & down) != 0;
    sim.out = out;
    for (int k = 0; k < n; k++) {
        sim.cars[k] = cars[k];
        out[k] = (struct assign_share){0, 0};
    }
    start(&sim);
    return run(&sim);
}

const char *assign_message(int status)
{
    static const char *const messages[ASSIGN_STATUSES] = {
        [ASSIGN_OK] = "fine",
        [ASSIGN_FLOORS] = "floors must be 1 to 64",
        [ASSIGN_DOOR] = "door_ms must be 0 to 3600000",
        [ASSIGN_TRAVEL] = "travel_ms must be 0 to 3600000",
        [ASSIGN_HALL] = "up and down must be bit masks of existing floors",
        [ASSIGN_CARS] = "there must be 1 to 64 cars",
        [ASSIGN_BEHAVIOUR] = "a car's behaviour must be 0 (idle), 1 (moving) or 2 (door open)",
        [ASSIGN_FLOOR] = "a car's floor must be an existing floor",
        [ASSIGN_DIRECTION] = "a car's direction must be -1 (down), 0 (stop) or 1 (up)",
        [ASSIGN_LEAVING] = "a car must not be moving away from an end floor",
        [ASSIGN_CAB] = "a car's cab calls must be a bit mask of existing floors",
        [ASSIGN_RATE] = "rates must be 0 to 65535 for each floor",
        [ASSIGN_ENDLESS] = "the simulation did not end",
    };
    return in_range(status, ASSIGN_OK, ASSIGN_STATUSES - 1) ? messages[status] : "unknown status";
}
