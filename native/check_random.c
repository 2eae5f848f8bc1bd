/* Pseudo-random inputs for the assigners. See check.h. */
#include "check.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assign_large.h"
#include "plan.h"

#define WORK_MAX 2000000 /* for one call; the limits in plan.c and plan_park.c are far lower */

/* Return whether each call is in exactly one share. */
static bool is_partition(const struct check_input *input)
{
    uint64_t up = 0, down = 0;
    for (int k = 0; k < input->n; k++) {
        if ((up & input->out[k].up) != 0 || (down & input->out[k].down) != 0)
            return false;
        up |= input->out[k].up;
        down |= input->out[k].down;
    }
    return up == input->up && down == input->down;
}

/* splitmix64 */
static uint64_t next(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Draw an integer from *low* to *high*. One in *rare* is any int, or just out of range. */
static int integer(uint64_t *seed, int low, int high, unsigned rare)
{
    static const int odd[] = {INT_MIN, INT_MIN + 1, -2, -1, 0, 1, 63, 64, 65, INT_MAX - 1, INT_MAX};
    uint64_t draw = next(seed);
    if (draw % rare != 0)
        return low + (int)(next(seed) % (uint64_t)(high - low + 1));
    switch (draw / rare % 4) {
    case 0:
        return low - 1;
    case 1:
        return high + 1;
    case 2:
        return odd[next(seed) % (sizeof odd / sizeof odd[0])];
    default:
        return (int)(next(seed) >> 33) - (int)(next(seed) >> 33);
    }
}

static bool is_in(int value, int most)
{
    return 1 <= value && value <= most;
}

/* Draw a set of floors, dense or sparse. One in *rare* may have floors that do not exist. */
static uint64_t mask(uint64_t *seed, int floors, unsigned rare)
{
    uint64_t draw = next(seed), calls = next(seed);
    if (draw % 2 != 0)
        calls &= next(seed) & next(seed);
    if (draw / 2 % rare == 0 || !is_in(floors, 63))
        return calls;
    return calls & ((UINT64_C(1) << floors) - 1);
}

static void draw_car(struct assign_car *car, uint64_t *seed, int floors)
{
    bool inner = floors > 2 && next(seed) % 16 != 0; /* at an end floor, most moving cars would be invalid */
    car->behaviour = integer(seed, ASSIGN_IDLE, ASSIGN_DOOR_OPEN, 400);
    car->floor = integer(seed, inner, floors - 1 - inner, 400);
    car->direction = integer(seed, -1, 1, 400);
    car->cab = next(seed) % 2 == 0 ? 0 : mask(seed, floors, 400);
}

static void draw_input(struct check_input *input, uint64_t *seed)
{
    struct assign_params *params = &input->params;
    params->floors = integer(seed, 1, next(seed) % 8 == 0 ? ASSIGN_MAX_FLOORS : 12, 40);
    params->door_ms = integer(seed, 0, next(seed) % 2 == 0 ? 5000 : PLAN_MAX_MS, 40);
    params->travel_ms = integer(seed, 0, next(seed) % 2 == 0 ? 5000 : PLAN_MAX_MS, 40);
    params->clear_all = next(seed) % 2 == 0;
    params->has_empty_id = next(seed) % 2048 == 0; /* rare, because many of these need ASSIGN_MAX_MOVES */
    input->n = integer(seed, 1, next(seed) % 8 == 0 ? ASSIGN_MAX_CARS : 6, 40);
    input->up = mask(seed, params->floors, 40);
    input->down = mask(seed, params->floors, 40);
    const int room = is_in(input->n, ASSIGN_MAX_CARS) ? input->n : 0;
    const int floors = is_in(params->floors, ASSIGN_MAX_FLOORS) ? params->floors : ASSIGN_MAX_FLOORS;
    check_allocate(input, room);
    for (int k = 0; k < room; k++)
        draw_car(&input->cars[k], seed, floors);
}

long check_random(long count, uint64_t seed)
{
    long accepted = 0;
    for (long number = 1; number <= count; number++) {
        struct check_input input;
        draw_input(&input, &seed);
        int status = check_run_reference(&input);
        if (status < 0 || status >= ASSIGN_STATUSES || (status == ASSIGN_ENDLESS && !input.params.has_empty_id))
            check_fail(1, assign_message(status), number);
        if (status == ASSIGN_OK && !is_partition(&input))
            check_fail(1, "a call has no owner, or two", number);
        accepted += status == ASSIGN_OK;
        check_release(&input);
    }
    return accepted;
}

static struct assign_floors widen(uint64_t calls)
{
    return (struct assign_floors){{calls}};
}

/* Run the reference for large buildings on *input*. In a small building, both references must agree. */
static void compare_large(struct check_input *input, int room, long number)
{
    struct assign_large_car *cars = calloc((size_t)room, sizeof *cars);
    struct assign_large_share *out = calloc((size_t)room, sizeof *out);
    struct assign_floors up = widen(input->up), down = widen(input->down);
    for (int k = 0; k < room; k++) {
        const struct assign_car *car = &input->cars[k];
        cars[k] = (struct assign_large_car){car->behaviour, car->floor, car->direction, widen(car->cab)};
    }
    int expected = check_run_reference(input);
    bool is_small = is_in(input->params.floors, ASSIGN_MAX_FLOORS) && is_in(input->n, ASSIGN_MAX_CARS);
    int status = assign_large(&input->params, &up, &down, cars, room == 0 ? -1 : input->n, out);
    if (is_small && status != expected)
        check_fail(1, "the two sizes of the reference return different statuses", number);
    for (int k = 0; status == ASSIGN_OK && expected == ASSIGN_OK && k < room; k++)
        if (memcmp(&out[k].up, &(struct assign_floors){{input->out[k].up}}, sizeof out[k].up) != 0 ||
            memcmp(&out[k].down, &(struct assign_floors){{input->out[k].down}}, sizeof out[k].down) != 0)
            check_fail(1, "the two sizes of the reference differ", number);
    free(cars);
    free(out);
}

static void draw_floors(struct assign_floors *calls, uint64_t *seed, int floors)
{
    uint64_t kind = next(seed);
    for (int w = 0; w < ASSIGN_LARGE_WORDS; w++) {
        uint64_t known = floors >= 64 * (w + 1) ? ~UINT64_C(0)
                         : floors <= 64 * w     ? 0
                                                : (UINT64_C(1) << floors % 64) - 1;
        calls->words[w] = kind % 4 == 0 ? 0 : next(seed) & (kind % 4 == 1 ? next(seed) & next(seed) : ~UINT64_C(0));
        calls->words[w] &= kind / 4 % 400 == 0 ? ~UINT64_C(0) : known;
    }
}

/* Return whether each call of *up* and *down*, and no other call, is in exactly one share of *out*. */
static bool is_large_partition(struct assign_floors up, struct assign_floors down,
                               const struct assign_large_share *out, int n)
{
    uint64_t wrong = 0;
    for (int w = 0; w < ASSIGN_LARGE_WORDS; w++) {
        for (int k = 0; k < n; k++) {
            wrong |= (out[k].up.words[w] & ~up.words[w]) | (out[k].down.words[w] & ~down.words[w]);
            up.words[w] &= ~out[k].up.words[w];
            down.words[w] &= ~out[k].down.words[w];
        }
        wrong |= up.words[w] | down.words[w];
    }
    return wrong == 0;
}

/* Run the reference on one random large building. Return whether it accepted the input. */
static bool check_large_building(uint64_t *seed, long number)
{
    struct assign_params params = {.floors = integer(seed, 1, ASSIGN_LARGE_MAX_FLOORS, 40),
                                   .door_ms = integer(seed, 0, 5000, 4),
                                   .travel_ms = integer(seed, 0, 5000, 4),
                                   .clear_all = next(seed) % 2 == 0,
                                   .has_empty_id = next(seed) % 128 == 0};
    int n = integer(seed, 1, next(seed) % 8 == 0 ? ASSIGN_LARGE_MAX_CARS : 12, 40);
    const int room = is_in(n, ASSIGN_LARGE_MAX_CARS) ? n : 0;
    const int floors = is_in(params.floors, ASSIGN_LARGE_MAX_FLOORS) ? params.floors : ASSIGN_LARGE_MAX_FLOORS;
    struct assign_large_car *cars = calloc((size_t)room, sizeof *cars);
    struct assign_large_share *out = calloc((size_t)room, sizeof *out);
    struct assign_floors up, down;
    draw_floors(&up, seed, floors);
    draw_floors(&down, seed, floors);
    for (int k = 0; k < room; k++) {
        struct assign_car car;
        draw_car(&car, seed, floors);
        cars[k] = (struct assign_large_car){car.behaviour, car.floor, car.direction, {{0}}};
        if (next(seed) % 2 == 0)
            draw_floors(&cars[k].cab, seed, floors);
    }
    int status = assign_large(&params, &up, &down, cars, n, out);
    if (status < 0 || status >= ASSIGN_STATUSES || (status == ASSIGN_ENDLESS && !params.has_empty_id))
        check_fail(1, assign_message(status), number);
    if (status == ASSIGN_OK && !is_large_partition(up, down, out, n))
        check_fail(1, "a call has no owner, or two", number);
    free(cars);
    free(out);
    return status == ASSIGN_OK;
}

long check_large(long count, uint64_t seed)
{
    long accepted = 0;
    for (long number = 1; number <= count; number++) {
        struct check_input input;
        draw_input(&input, &seed);
        compare_large(&input, is_in(input.n, ASSIGN_MAX_CARS) ? input.n : 0, number);
        check_release(&input);
        accepted += number % 10 == 0 && check_large_building(&seed, number);
    }
    return accepted;
}

static void draw_rates(int *rates, uint64_t *seed)
{
    uint64_t kind = next(seed) % 50;
    for (int f = 0; f < ASSIGN_MAX_FLOORS; f++)
        rates[f] = kind == 0   ? integer(seed, 0, PLAN_MAX_RATE, 40)
                   : kind < 10 ? PLAN_MAX_RATE
                               : (int)(next(seed) % 1000);
}

/* Run parking on *input* and on the shares that the plan found for it. */
static void check_park(struct check_input *input, const struct plan_rates *rates, int room, long number)
{
    int *targets = calloc((size_t)room, sizeof *targets);
    long work = 0;
    int status = plan_park(&input->params, input->cars, input->out, input->n, rates, number % 2 == 0, targets, &work);
    if (status < 0 || status >= ASSIGN_STATUSES || work > WORK_MAX)
        check_fail(1, "parking returned an unknown status, or did too much work", number);
    for (int k = 0; status == ASSIGN_OK && k < input->n; k++) {
        const struct assign_car *car = &input->cars[k];
        bool is_open = car->behaviour == ASSIGN_DOOR_OPEN || car->behaviour == PLAN_OBSTRUCTED;
        bool free_car = (car->cab | input->out[k].up | input->out[k].down) == 0 && !is_open;
        if (free_car ? targets[k] < 0 || targets[k] >= input->params.floors : targets[k] != -1)
            check_fail(1, "a free car has no target, or another car has one", number);
    }
    free(targets);
}

long check_plan(long count, uint64_t seed)
{
    long accepted = 0, most = 0;
    for (long number = 1; number <= count; number++) {
        struct check_input input;
        struct plan_rates rates;
        long work = 0;
        draw_input(&input, &seed);
        draw_rates(rates.up, &seed);
        draw_rates(rates.down, &seed);
        const int room = is_in(input.n, ASSIGN_MAX_CARS) ? input.n : 0;
        struct assign_share *claims = calloc((size_t)room, sizeof *claims);
        for (int k = 0; k < room; k++)
            claims[k] = (struct assign_share){next(&seed) & next(&seed), next(&seed) & next(&seed)};
        struct plan_waited waited;
        for (int k = 0; k < PLAN_AGES; k++)
            waited.calls[k] = (struct assign_share){next(&seed), next(&seed)};
        int status = plan_assign(&input.params, input.up, input.down, input.cars, claims, input.n, &rates, &waited,
                                 input.out, &work);
        if (status < 0 || status >= ASSIGN_STATUSES || work > WORK_MAX)
            check_fail(1, "the plan returned an unknown status, or did too much work", number);
        if (status == ASSIGN_OK && !is_partition(&input))
            check_fail(1, "a call has no owner, or two", number);
        check_park(&input, &rates, room, number);
        accepted += status == ASSIGN_OK;
        most = work > most ? work : most;
        free(claims);
        check_release(&input);
    }
    printf("at most %ld steps\n", most);
    return accepted;
}
