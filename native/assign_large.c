/* The reference assigner for large buildings: a set of floors is many words. The rules are in assign_rules.h. */
#include <stdlib.h>
#include <string.h>

#include "assign_large.h"

#define RULES_WORDS ASSIGN_LARGE_WORDS
#define RULES_CARS ASSIGN_LARGE_MAX_CARS

#include "assign_rules.h"

static bool is_within(const struct assign_floors *calls, int floors)
{
    for (int w = 0; w < ASSIGN_LARGE_WORDS; w++) {
        int known = floors - WORD_BITS * w; /* floors from the first of this word to the top */
        uint64_t outside = known >= WORD_BITS ? 0 : known <= 0 ? ~UINT64_C(0) : ~(bit_of(known) - 1);
        if ((calls->words[w] & outside) != 0)
            return false;
    }
    return true;
}

static int check(const struct assign_params *params, const struct assign_floors *up, const struct assign_floors *down,
                 const struct assign_large_car *cars, int n)
{
    if (params->floors < 1 || params->floors > ASSIGN_LARGE_MAX_FLOORS)
        return ASSIGN_LARGE_FLOORS;
    if (n < 1 || n > ASSIGN_LARGE_MAX_CARS)
        return ASSIGN_LARGE_CARS;
    if (!is_within(up, params->floors) || !is_within(down, params->floors))
        return ASSIGN_HALL;
    for (int k = 0; k < n; k++) {
        int status = assign_check_car(cars[k].behaviour, cars[k].floor, cars[k].direction, params->floors);
        if (status != ASSIGN_OK)
            return status;
        if (!is_within(&cars[k].cab, params->floors))
            return ASSIGN_CAB;
    }
    return ASSIGN_OK;
}

static struct floors to_floors(const struct assign_floors *calls)
{
    struct floors floors;
    memcpy(floors.words, calls->words, sizeof floors.words);
    return floors;
}

static struct assign_floors from_floors(const struct floors *floors)
{
    struct assign_floors calls;
    memcpy(calls.words, floors->words, sizeof calls.words);
    return calls;
}

int assign_large(const struct assign_params *params, const struct assign_floors *up, const struct assign_floors *down,
                 const struct assign_large_car *cars, int n, struct assign_large_share *out)
{
    int status = check(params, up, down, cars, n);
    if (status != ASSIGN_OK)
        return status;
    struct simulation *sim = malloc(sizeof *sim);
    if (sim == NULL)
        return ASSIGN_MEMORY;
    sim->up = to_floors(up);
    sim->down = to_floors(down);
    sim->n = n;
    for (int k = 0; k < n; k++)
        sim->cars[k] =
            (struct car){cars[k].behaviour, cars[k].floor, cars[k].direction, to_floors(&cars[k].cab)};
    status = run(sim, params);
    for (int k = 0; k < n; k++)
        out[k] = (struct assign_large_share){from_floors(&sim->out[k].up), from_floors(&sim->out[k].down)};
    free(sim);
    return status;
}
