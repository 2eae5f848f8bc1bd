/* A program that checks the assigners without Python. Build it with the sanitizers.
 *
 *     check < vectors          compares the answers of the reference with the expected ones
 *     check random COUNT SEED  runs COUNT pseudo-random inputs, many of them out of range, on the reference
 *     check plan COUNT SEED    the same for the plan-cost assigner and for parking
 *     check large COUNT SEED   runs such inputs on both sizes of the reference, which must agree, and runs the large
 *                              size on a large building after every tenth input
 *
 * A vector is a row of integers, masks as unsigned decimals:
 *
 *     floors up down door_ms travel_ms clear_all n, then n times: behaviour floor direction cab; then either 0 and
 *     n times: up down (the expected shares), or 1 (the assigner must refuse the input).
 *
 * The exit status is 0 if everything agrees. It is 1 after the first fault, which is printed on standard error. It is 2
 * if the arguments or the vectors cannot be read, or memory runs out.
 */
#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_fail(int status, const char *what, long number)
{
    if (number > 0)
        fprintf(stderr, "input %ld: ", number);
    fprintf(stderr, "%s\n", what);
    exit(status);
}

void check_allocate(struct check_input *input, int n)
{
    input->cars = calloc((size_t)n, sizeof *input->cars);
    input->out = calloc((size_t)n, sizeof *input->out);
    if (n > 0 && (input->cars == NULL || input->out == NULL))
        check_fail(2, "out of memory", 0);
}

void check_release(struct check_input *input)
{
    free(input->cars);
    free(input->out);
}

int check_run_reference(struct check_input *input)
{
    return assign_reference(&input->params, input->up, input->down, input->cars, input->n, input->out);
}

/* Read one vector up to its expected answer. Return false at the end of the text. */
static bool read_input(struct check_input *input, long number)
{
    struct assign_params *params = &input->params;
    int clear_all;
    int got = scanf("%d %" SCNu64 " %" SCNu64 " %d %d %d %d", &params->floors, &input->up, &input->down,
                    &params->door_ms, &params->travel_ms, &clear_all, &input->n);
    if (got == EOF)
        return false;
    if (got != 7 || input->n < 0 || input->n > 1000)
        check_fail(2, "not a vector", number);
    params->clear_all = clear_all != 0;
    params->has_empty_id = false;
    check_allocate(input, input->n);
    for (int k = 0; k < input->n; k++) {
        struct assign_car *car = &input->cars[k];
        if (scanf("%d %d %d %" SCNu64, &car->behaviour, &car->floor, &car->direction, &car->cab) != 4)
            check_fail(2, "not a car", number);
    }
    return true;
}

/* Compare the answer to *input* with the expected one, which follows in the text. */
static void compare(struct check_input *input, long number)
{
    int refused;
    if (scanf("%d", &refused) != 1)
        check_fail(2, "no expected answer", number);
    int status = check_run_reference(input);
    if ((status != ASSIGN_OK) != (refused != 0))
        check_fail(1, status == ASSIGN_OK ? "accepted, but must be refused" : assign_message(status), number);
    if (refused != 0)
        return;
    for (int k = 0; k < input->n; k++) {
        struct assign_share share;
        if (scanf("%" SCNu64 " %" SCNu64, &share.up, &share.down) != 2)
            check_fail(2, "not a share", number);
        if (share.up != input->out[k].up || share.down != input->out[k].down)
            check_fail(1, "a different answer", number);
    }
}

static long check_vectors(void)
{
    struct check_input input;
    long number = 0;
    for (; read_input(&input, number + 1); number++) {
        compare(&input, number + 1);
        check_release(&input);
    }
    return number;
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
        check_fail(2, "usage: check < vectors | check random|large|plan COUNT SEED", 0);
    return 0;
}
