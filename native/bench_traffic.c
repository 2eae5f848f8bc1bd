/* What a simulated car learns of the traffic, by the rules of elevator/core/traffic.py. */
#include "bench.h"

enum { SIXTEENTHS = 16 /* of a person: the unit of counts */ };

void bench_learn(struct bench_learned *learned, const struct bench_learning *learning, int floors, int floor,
                 int direction, int64_t age_ms, int rate, int64_t now_ms)
{
    int64_t total = 0;
    learned->people[direction == UP][floor] += SIXTEENTHS + (SIXTEENTHS * rate * age_ms >> PLAN_RATE_SHIFT);
    for (int f = 0; f < floors; f++)
        total += learned->people[0][f] + learned->people[1][f];
    if (total <= (int64_t)SIXTEENTHS * learning->people_max)
        return;
    learned->since_ms = now_ms - (now_ms - learned->since_ms) / 2;
    for (int f = 0; f < floors; f++) {
        learned->people[0][f] /= 2;
        learned->people[1][f] /= 2;
    }
}

static int rate_of(int64_t people, int64_t span_ms, int rate_max)
{
    int64_t rate = (people << PLAN_RATE_SHIFT) / SIXTEENTHS / span_ms;
    return rate < rate_max ? (int)rate : rate_max;
}

void bench_learned_rates(const struct bench_learned *learned, const struct bench_learning *learning, int floors,
                         int64_t now_ms, struct plan_rates *rates)
{
    int64_t span_ms = now_ms - learned->since_ms + learning->prior_ms;
    for (int f = 0; f < floors; f++) {
        rates->down[f] = rate_of(learned->people[0][f], span_ms, learning->rate_max);
        rates->up[f] = rate_of(learned->people[1][f], span_ms, learning->rate_max);
    }
}
