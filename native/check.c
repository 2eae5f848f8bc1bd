/* Checks assign.c, assign_large.c and plan.c on their own, without Python: meant to be built with the sanitizers.
 *
 *     check < vectors          compares the answers of the reference with those given
 *     check random COUNT SEED  throws COUNT pseudo-random inputs, many of them out of range, at the reference
 *     check large COUNT SEED   does so with the reference for large buildings, and compares the two in small ones
 *     check plan COUNT SEED    throws them at the plan-cost assigner and at parking
 *
 * A vector is a row of integers, masks as unsigned decimals:
 *
 *     floors up down door_ms travel_ms clear_all n, then n times: behaviour floor direction cab, then 0 and n times:
 *     up down (the shares); or instead of 0 and the shares 1, if the input is to be refused.
 *
 * Cars and shares lie in blocks of exactly their size, so that a step beyond their end is noticed. Ends with 0 if all
 * is well, with 1 and a line on standard error at the first fault, with 2 if the text is no vector.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assign.h"
#include "assign_large.h"
#include "plan.h"

#define WORK_MAX 2000000 /* of one call: plan.c stops far below */

struct input {
    struct assign_params params;
    uint64_t up, down;
    int n;
    struct assign_car *cars;
    struct assign_share *out;
};

static void fail(int status, const char *what, long number)
{
    fprintf(stderr, "input %ld: %s\n", number, what);
    exit(status);
}

/* Make room for the *n* cars and shares of *input*. */
static void allocate(struct input *input, int n)
{
    input->cars = calloc((size_t)n, sizeof *input->cars);
    input->out = calloc((size_t)n, sizeof *input->out);
    if (n > 0 && (input->cars == NULL || input->out == NULL))
        fail(2, "out of memory", 0);
}

static void release(struct input *input)
{
    free(input->cars);
    free(input->out);
}

static int answer(struct input *input)
{
    return assign_reference(&input->params, input->up, input->down, input->cars, input->n, input->out);
}

/* Tell whether each call is in exactly one share. */
static bool is_partition(const struct input *input)
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

/* Read one vector up to its expected answer; false at the end of the text. */
static bool read_input(struct input *input, long number)
{
    struct assign_params *params = &input->params;
    int clear_all;
    int got = scanf("%d %" SCNu64 " %" SCNu64 " %d %d %d %d", &params->floors, &input->up, &input->down,
                    &params->door_ms, &params->travel_ms, &clear_all, &input->n);
    if (got == EOF)
        return false;
    if (got != 7 || input->n < 0 || input->n > 1000)
        fail(2, "not a vector", number);
    params->clear_all = clear_all != 0;
    params->has_empty_id = false;
    allocate(input, input->n);
    for (int k = 0; k < input->n; k++) {
        struct assign_car *car = &input->cars[k];
        if (scanf("%d %d %d %" SCNu64, &car->behaviour, &car->floor, &car->direction, &car->cab) != 4)
            fail(2, "not a car", number);
    }
    return true;
}

/* Compare the answer to *input* with the one that follows in the text. */
static void compare(struct input *input, long number)
{
    int refused;
    if (scanf("%d", &refused) != 1)
        fail(2, "no answer given", number);
    int status = answer(input);
    if ((status != ASSIGN_OK) != (refused != 0))
        fail(1, assign_message(status), number);
    if (refused != 0)
        return;
    for (int k = 0; k < input->n; k++) {
        struct assign_share share;
        if (scanf("%" SCNu64 " %" SCNu64, &share.up, &share.down) != 2)
            fail(2, "not a share", number);
        if (share.up != input->out[k].up || share.down != input->out[k].down)
            fail(1, "a different answer", number);
    }
}

static long check_vectors(void)
{
    struct input input;
    long number = 0;
    for (; read_input(&input, number + 1); number++) {
        compare(&input, number + 1);
        release(&input);
    }
    return number;
}

/* splitmix64 */
static uint64_t next(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Mostly an integer from *low* to *high*; one time in *rare* any at all, or one that is just out of range. */
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

/* A set of floors, dense or sparse; one time in *rare* without regard to what floors there are. */
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
    bool inner = floors > 2 && next(seed) % 16 != 0; /* away from the ends, or few moving cars would be legal */
    car->behaviour = integer(seed, ASSIGN_IDLE, ASSIGN_DOOR_OPEN, 400);
    car->floor = integer(seed, inner, floors - 1 - inner, 400);
    car->direction = integer(seed, -1, 1, 400);
    car->cab = next(seed) % 2 == 0 ? 0 : mask(seed, floors, 400);
}

static void draw_input(struct input *input, uint64_t *seed)
{
    struct assign_params *params = &input->params;
    params->floors = integer(seed, 1, next(seed) % 8 == 0 ? ASSIGN_MAX_FLOORS : 12, 40);
    params->door_ms = integer(seed, 0, next(seed) % 2 == 0 ? 5000 : PLAN_MAX_MS, 40);
    params->travel_ms = integer(seed, 0, next(seed) % 2 == 0 ? 5000 : PLAN_MAX_MS, 40);
    params->clear_all = next(seed) % 2 == 0;
    params->has_empty_id = next(seed) % 2048 == 0; /* rare, because many of these run to the last move allowed */
    input->n = integer(seed, 1, next(seed) % 8 == 0 ? ASSIGN_MAX_CARS : 6, 40);
    input->up = mask(seed, params->floors, 40);
    input->down = mask(seed, params->floors, 40);
    const int room = is_in(input->n, ASSIGN_MAX_CARS) ? input->n : 0;
    const int floors = is_in(params->floors, ASSIGN_MAX_FLOORS) ? params->floors : ASSIGN_MAX_FLOORS;
    allocate(input, room);
    for (int k = 0; k < room; k++)
        draw_car(&input->cars[k], seed, floors);
}

/* Return how many inputs were accepted. */
static long check_random(long count, uint64_t seed)
{
    long accepted = 0;
    for (long number = 1; number <= count; number++) {
        struct input input;
        draw_input(&input, &seed);
        int status = answer(&input);
        if (status < 0 || status >= ASSIGN_STATUSES || (status == ASSIGN_ENDLESS && !input.params.has_empty_id))
            fail(1, assign_message(status), number);
        if (status == ASSIGN_OK && !is_partition(&input))
            fail(1, "a call without an owner, or with two", number);
        accepted += status == ASSIGN_OK;
        release(&input);
    }
    return accepted;
}

static struct assign_floors widen(uint64_t calls)
{
    return (struct assign_floors){{calls}};
}

/* Compare the answer of the assigner for large buildings to *input*, of any size, with that for small ones. */
static void compare_large(struct input *input, int room, long number)
{
    struct assign_large_car *cars = calloc((size_t)room, sizeof *cars);
    struct assign_large_share *out = calloc((size_t)room, sizeof *out);
    struct assign_floors up = widen(input->up), down = widen(input->down);
    for (int k = 0; k < room; k++) {
        const struct assign_car *car = &input->cars[k];
        cars[k] = (struct assign_large_car){car->behaviour, car->floor, car->direction, widen(car->cab)};
    }
    int expected = answer(input);
    bool is_small = is_in(input->params.floors, ASSIGN_MAX_FLOORS) && is_in(input->n, ASSIGN_MAX_CARS);
    int status = assign_large(&input->params, &up, &down, cars, room == 0 ? -1 : input->n, out);
    if (is_small && status != expected)
        fail(1, "refused in one size only", number);
    for (int k = 0; status == ASSIGN_OK && expected == ASSIGN_OK && k < room; k++)
        if (memcmp(&out[k].up, &(struct assign_floors){{input->out[k].up}}, sizeof out[k].up) != 0 ||
            memcmp(&out[k].down, &(struct assign_floors){{input->out[k].down}}, sizeof out[k].down) != 0)
            fail(1, "a different answer for a large building", number);
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

/* Take the shares of *out* from *up* and *down*; tell whether nothing is left and each call was taken once. */
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

/* Throw one large building at the reference; tell whether it was accepted. */
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
        fail(1, assign_message(status), number);
    if (status == ASSIGN_OK && !is_large_partition(up, down, out, n))
        fail(1, "a call without an owner, or with two", number);
    free(cars);
    free(out);
    return status == ASSIGN_OK;
}

/* Return how many large buildings were accepted. */
static long check_large(long count, uint64_t seed)
{
    long accepted = 0;
    for (long number = 1; number <= count; number++) {
        struct input input;
        draw_input(&input, &seed);
        compare_large(&input, is_in(input.n, ASSIGN_MAX_CARS) ? input.n : 0, number);
        release(&input);
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

/* Throw one input at parking, with the shares that were found for it. */
static void check_park(struct input *input, const struct plan_rates *rates, int room, long number)
{
    int *targets = calloc((size_t)room, sizeof *targets);
    long work = 0;
    int status = plan_park(&input->params, input->cars, input->out, input->n, rates, targets, &work);
    if (status < 0 || status >= ASSIGN_STATUSES || work > WORK_MAX)
        fail(1, "parking does not end as it should", number);
    for (int k = 0; status == ASSIGN_OK && k < input->n; k++) {
        const struct assign_car *car = &input->cars[k];
        bool is_open = car->behaviour == ASSIGN_DOOR_OPEN || car->behaviour == PLAN_OBSTRUCTED;
        bool free_car = (car->cab | input->out[k].up | input->out[k].down) == 0 && !is_open;
        if (free_car ? targets[k] < 0 || targets[k] >= input->params.floors : targets[k] != -1)
            fail(1, "a car is to wait where it cannot", number);
    }
    free(targets);
}

/* Return how many inputs were accepted. */
static long check_plan(long count, uint64_t seed)
{
    long accepted = 0, most = 0;
    for (long number = 1; number <= count; number++) {
        struct input input;
        struct plan_rates rates;
        long work = 0;
        draw_input(&input, &seed);
        draw_rates(rates.up, &seed);
        draw_rates(rates.down, &seed);
        const int room = is_in(input.n, ASSIGN_MAX_CARS) ? input.n : 0;
        struct assign_share *claims = calloc((size_t)room, sizeof *claims);
        for (int k = 0; k < room; k++)
            claims[k] = (struct assign_share){next(&seed) & next(&seed), next(&seed) & next(&seed)};
        int status = plan_assign(&input.params, input.up, input.down, input.cars, claims, input.n, &rates, input.out,
                                 &work);
        if (status < 0 || status >= ASSIGN_STATUSES || work > WORK_MAX)
            fail(1, "the plan does not end as it should", number);
        if (status == ASSIGN_OK && !is_partition(&input))
            fail(1, "a call without an owner, or with two", number);
        check_park(&input, &rates, room, number);
        accepted += status == ASSIGN_OK;
        most = work > most ? work : most;
        free(claims);
        release(&input);
    }
    printf("%ld steps at the most\n", most);
    return accepted;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        printf("%ld agree\n", check_vectors());
    else if (argc == 4 && strcmp(argv[1], "random") == 0)
        printf("%ld accepted\n", check_random(strtol(argv[2], NULL, 10), strtoull(argv[3], NULL, 10)));
    else if (argc == 4 && strcmp(argv[1], "large") == 0)
        printf("%ld accepted\n", check_large(strtol(argv[2], NULL, 10), strtoull(argv[3], NULL, 10)));
    else if (argc == 4 && strcmp(argv[1], "plan") == 0)
        printf("%ld accepted\n", check_plan(strtol(argv[2], NULL, 10), strtoull(argv[3], NULL, 10)));
    else
        fail(2, "usage: check < vectors | check random|large|plan COUNT SEED", 0);
    return 0;
}
