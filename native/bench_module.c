/* elevator._bench: the simulated group of bench.h as Python functions. Nodes do not load it. */
#include "values.h"

#include <limits.h>

#include "bench.h"

/* The sum of the rates of all cars must not exceed PLAN_MAX_RATE. */
static bool is_valid_learning(const struct bench_learning *learning)
{
    return learning->people_max >= 0 && learning->prior_ms > 0 && learning->rate_max >= 0 &&
           learning->rate_max <= PLAN_MAX_RATE / ASSIGN_MAX_CARS;
}

PyDoc_STRVAR(learn_doc, "learn($module, floors, services, people_max, prior_ms, rate_max, /)\n--\n\n"
                        "Return the rates, up and down, that a simulated car learns from services (now_ms, floor, "
                        "direction, age_ms, rate).");

static PyObject *learn(PyObject *module, PyObject *args)
{
    (void)module;
    int floors;
    PyObject *services;
    struct bench_learning learning;
    struct bench_learned learned = {{{0}}, 0};
    struct plan_rates rates = {{0}, {0}};
    if (!PyArg_ParseTuple(args, "iO!iii:learn", &floors, &PyTuple_Type, &services, &learning.people_max,
                          &learning.prior_ms, &learning.rate_max))
        return NULL;
    if (floors < 1 || floors > ASSIGN_MAX_FLOORS || !is_valid_learning(&learning)) {
        PyErr_SetString(PyExc_ValueError, "floors or limits out of range");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(services); i++) {
        long long now_ms, age_ms;
        int floor, direction, rate;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(services, i), "LiiLi", &now_ms, &floor, &direction, &age_ms, &rate))
            return NULL;
        if (floor < 0 || floor >= floors) {
            PyErr_SetString(PyExc_ValueError, "a service at a floor that does not exist");
            return NULL;
        }
        bench_learn(&learned, &learning, floors, floor, direction, age_ms, rate, now_ms);
        bench_learned_rates(&learned, &learning, floors, now_ms, &rates);
    }
    return Py_BuildValue("(NN)", build_ints(rates.up, floors), build_ints(rates.down, floors));
}

static bool are_valid_times(const struct bench_times *times)
{
    const int all[] = {times->pass_ms, times->start_ms, times->brake_ms, times->turn_ms,
                       times->open_ms, times->dwell_ms, times->stop_ms};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] < 0 || all[i] > PLAN_MAX_MS)
            return false;
    return times->pass_ms > 0 && times->start_ms > 0;
}

static bool is_valid_config(const struct bench_config *config)
{
    return config->cars >= 1 && config->cars <= ASSIGN_MAX_CARS && config->floors >= 2 &&
           config->floors <= ASSIGN_MAX_FLOORS && config->assigner >= 0 && config->assigner < BENCH_ASSIGNERS &&
           config->park >= 0 && config->park < BENCH_PARKS && config->park_after_ms >= 0 &&
           config->door_extension_ms >= 0 && config->ages_every_ms >= 1 && config->unclaimed_ms >= 0 &&
           config->starved_ms >= 0 && config->capacity >= 0 && config->loss >= -1 && config->loss < 100 &&
           is_valid_learning(&config->learning) && are_valid_times(&config->times);
}

static bool are_valid_trips(const struct bench_trip *trips, Py_ssize_t count, int floors)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (trips[i].at_ms < (i == 0 ? 0 : trips[i - 1].at_ms) || trips[i].from == trips[i].to || trips[i].from < 0 ||
            trips[i].from >= floors || trips[i].to < 0 || trips[i].to >= floors || trips[i].enter_ms < 0 ||
            trips[i].enter_ms > PLAN_MAX_MS || trips[i].leave_ms < 0 || trips[i].leave_ms > PLAN_MAX_MS)
            return false;
    return count > 0 && count < INT_MAX;
}

/* Run the simulation on the buffers. If it fails, set an exception and return false. */
static bool run(const struct bench_config *config, const Py_buffer *trips, const Py_buffer *waits,
                const Py_buffer *journeys, struct bench_counts *counts)
{
    const struct bench_trip *rows = trips->buf;
    const Py_ssize_t count = trips->len / (Py_ssize_t)sizeof *rows, size = count * (Py_ssize_t)sizeof(int64_t);
    if (!is_valid_config(config) || !are_valid_trips(rows, count, config->floors) || waits->len < size ||
        journeys->len < size) {
        PyErr_SetString(PyExc_ValueError, "invalid group or trips");
        return false;
    }
    if (!bench_run(config, rows, (int)count, waits->buf, journeys->buf, counts)) {
        PyErr_SetString(PyExc_RuntimeError, "the simulation did not end, or memory ran out");
        return false;
    }
    return true;
}

PyDoc_STRVAR(simulate_doc,
             "simulate($module, /, trips, waits, journeys, *, cars, floors, assigner, park, park_after_ms, "
             "door_extension_ms, ages_every_ms, unclaimed_ms, starved_ms, capacity, loss, seed, people_max, prior_ms, "
             "rate_max, times)\n--\n\n"
             "Simulate passengers in virtual time. The first three arguments are buffers of 64-bit integers.");

static PyObject *simulate(PyObject *module, PyObject *args, PyObject *keywords)
{
    (void)module;
    static char *names[] = {"trips",
                            "waits",
                            "journeys",
                            "cars",
                            "floors",
                            "assigner",
                            "park",
                            "park_after_ms",
                            "door_extension_ms",
                            "ages_every_ms",
                            "unclaimed_ms",
                            "starved_ms",
                            "capacity",
                            "loss",
                            "seed",
                            "people_max",
                            "prior_ms",
                            "rate_max",
                            "times",
                            NULL};
    struct bench_config config;
    struct bench_learning *learning = &config.learning;
    struct bench_times *times = &config.times;
    struct bench_counts counts;
    Py_buffer trips, waits, journeys;
    unsigned long long seed;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "y*w*w*$iiiiiiiiiiiKiii(iiiiiii):simulate", names, &trips, &waits,
                                     &journeys, &config.cars, &config.floors, &config.assigner, &config.park,
                                     &config.park_after_ms, &config.door_extension_ms, &config.ages_every_ms,
                                     &config.unclaimed_ms, &config.starved_ms, &config.capacity, &config.loss,
                                     &seed, &learning->people_max, &learning->prior_ms, &learning->rate_max,
                                     &times->pass_ms, &times->start_ms, &times->brake_ms, &times->turn_ms,
                                     &times->open_ms, &times->dwell_ms, &times->stop_ms))
        return NULL;
    config.seed = seed;
    bool done = run(&config, &trips, &waits, &journeys, &counts);
    PyBuffer_Release(&trips);
    PyBuffer_Release(&waits);
    PyBuffer_Release(&journeys);
    if (!done)
        return NULL;
    return Py_BuildValue("(LLLLLLLLLL)", (long long)counts.floors_moved, (long long)counts.reassigned,
                         (long long)counts.starts, (long long)counts.turns, (long long)counts.decisions,
                         (long long)counts.decision_ns, (long long)counts.decision_ns_most,
                         (long long)counts.samples, (long long)counts.unclaimed, (long long)counts.claimed_twice);
}

static PyMethodDef functions[] = {
    {"learn", learn, METH_VARARGS, learn_doc},
    {"simulate", (PyCFunction)(void (*)(void))simulate, METH_VARARGS | METH_KEYWORDS, simulate_doc},
    {NULL, NULL, 0, NULL},
};

/* Add the possible values of *assigner* and *park*. */
static int add_constants(PyObject *module)
{
    bool is_added = PyModule_AddIntConstant(module, "REFERENCE", BENCH_REFERENCE) == 0 &&
                    PyModule_AddIntConstant(module, "PLAN", BENCH_PLAN) == 0 &&
                    PyModule_AddIntConstant(module, "ETA", BENCH_ETA) == 0 &&
                    PyModule_AddIntConstant(module, "NEAREST", BENCH_NEAREST) == 0 &&
                    PyModule_AddIntConstant(module, "LQF", BENCH_LQF) == 0 &&
                    PyModule_AddIntConstant(module, "PARK_NONE", BENCH_PARK_NONE) == 0 &&
                    PyModule_AddIntConstant(module, "PARK_SPREAD", BENCH_PARK_SPREAD) == 0 &&
                    PyModule_AddIntConstant(module, "PARK_SPARING", BENCH_PARK_SPARING) == 0 &&
                    PyModule_AddIntConstant(module, "PARK_LOBBY", BENCH_PARK_LOBBY) == 0;
    return is_added ? 0 : -1;
}

/* __extension__: Python keeps the function as a void *, which ISO C does not allow and POSIX does. */
static PyModuleDef_Slot slots[] = {{Py_mod_exec, __extension__(void *)add_constants}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "elevator._bench",
    .m_doc = "A simulated group of cars with passengers for `elevator bench`, in C.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__bench(void);

PyMODINIT_FUNC PyInit__bench(void)
{
    return PyModuleDef_Init(&definition);
}
