/* The reference assigner for the nodes' buildings: a set of floors is one word. The rules are in assign_rules.h. Also
 * the checks and messages of all assigners. */
#define RULES_WORDS 1
#define RULES_CARS ASSIGN_MAX_CARS

#include "assign_large.h"
#include "assign_rules.h"
#include "plan.h"

static bool in_range(int value, int low, int high)
{
    return low <= value && value <= high;
}

int assign_check_car(int behaviour, int floor, int direction, int floors)
{
    if (!in_range(behaviour, ASSIGN_IDLE, ASSIGN_DOOR_OPEN))
        return ASSIGN_BEHAVIOUR;
    if (!in_range(floor, 0, floors - 1))
        return ASSIGN_FLOOR;
    if (!in_range(direction, DOWN, UP))
        return ASSIGN_DIRECTION;
    if (behaviour == ASSIGN_MOVING && !in_range(floor + direction, 0, floors - 1))
        return ASSIGN_LEAVING;
    return ASSIGN_OK;
}

int assign_check(const struct assign_params *params, uint64_t hall, const struct assign_car *cars, int n)
{
    if (!in_range(params->floors, 1, ASSIGN_MAX_FLOORS))
        return ASSIGN_FLOORS;
    const uint64_t outside = params->floors == ASSIGN_MAX_FLOORS ? 0 : ~(bit_of(params->floors) - 1);
    if ((hall & outside) != 0)
        return ASSIGN_HALL;
    if (!in_range(n, 1, ASSIGN_MAX_CARS))
        return ASSIGN_CARS;
    for (int k = 0; k < n; k++) {
        int status = assign_check_car(cars[k].behaviour, cars[k].floor, cars[k].direction, params->floors);
        if (status != ASSIGN_OK)
            return status;
        if ((cars[k].cab & outside) != 0)
            return ASSIGN_CAB;
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
    sim.up = (struct floors){{up}};
    sim.down = (struct floors){{down}};
    sim.n = n;
    for (int k = 0; k < n; k++)
        sim.cars[k] = (struct car){cars[k].behaviour, cars[k].floor, cars[k].direction, {{cars[k].cab}}};
    status = run(&sim, params);
    for (int k = 0; k < n; k++)
        out[k] = (struct assign_share){sim.out[k].up.words[0], sim.out[k].down.words[0]};
    return status;
}

const char *assign_message(int status)
{
    static const char *const messages[ASSIGN_STATUSES] = {
        [ASSIGN_OK] = "ok",
        [ASSIGN_FLOORS] = "floors must be 1 to " ASSIGN_TEXT(ASSIGN_MAX_FLOORS),
        [ASSIGN_DURATION] = "a duration must be -2147483648 to 2147483647 ms",
        [ASSIGN_DOOR] = "door_ms must be 0 to " ASSIGN_TEXT(PLAN_MAX_MS),
        [ASSIGN_TRAVEL] = "travel_ms must be 0 to " ASSIGN_TEXT(PLAN_MAX_MS),
        [ASSIGN_HALL] = "up and down must be bit masks of existing floors",
        [ASSIGN_CARS] = "there must be 1 to " ASSIGN_TEXT(ASSIGN_MAX_CARS) " cars",
        [ASSIGN_BEHAVIOUR] = "a car's behaviour must be 0 (idle), 1 (moving) or 2 (door open)",
        [ASSIGN_FLOOR] = "a car's floor must be an existing floor",
        [ASSIGN_DIRECTION] = "a car's direction must be -1 (down), 0 (stop) or 1 (up)",
        [ASSIGN_LEAVING] = "a car must not move past an end floor",
        [ASSIGN_CAB] = "a car's cab calls must be a bit mask of existing floors",
        [ASSIGN_RATE] = "rates must be 0 to " ASSIGN_TEXT(PLAN_MAX_RATE) " for each floor",
        [ASSIGN_ENDLESS] = "the simulation did not end within " ASSIGN_TEXT(ASSIGN_MAX_MOVES) " moves",
        [ASSIGN_LARGE_FLOORS] = "floors must be 1 to " ASSIGN_TEXT(ASSIGN_LARGE_MAX_FLOORS),
        [ASSIGN_LARGE_CARS] = "there must be 1 to " ASSIGN_TEXT(ASSIGN_LARGE_MAX_CARS) " cars",
        [ASSIGN_MEMORY] = "out of memory",
    };
    return in_range(status, ASSIGN_OK, ASSIGN_STATUSES - 1) ? messages[status] : "unknown status";
}
