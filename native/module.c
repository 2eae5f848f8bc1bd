/* elevator._assign: the assigners of assign.h and plan.h as Python functions.
 *
 * - An invalid value raises a ValueError with a message of one line. A call that does not match the signature raises a
 *   TypeError.
 * - The algorithms check the values. values.c refuses only wrong types and what C integers and arrays cannot hold.
 */
#include "values.h"

#include "motion.h"
#include "plan.h"

/* The input of all assigners. */
struct input {
    struct assign_params params;
    uint64_t up, down;
    struct assign_car cars[ASSIGN_MAX_CARS];
    int n;
};

static PyObject *refuse_status(int status)
{
    refuse(assign_message(status));
    return NULL;
}

/* The input and the answer of the reference for a large building. */
struct large_input {
    struct assign_floors up, down;
    struct assign_large_car cars[ASSIGN_LARGE_MAX_CARS];
    struct assign_large_share shares[ASSIGN_LARGE_MAX_CARS];
};

static PyObject *answer_large(const struct assign_params *params, PyObject *up, PyObject *down, PyObject *cars, int n,
                              struct large_input *input)
{
    if (!read_large_mask(up, &input->up, ASSIGN_HALL) || !read_large_mask(down, &input->down, ASSIGN_HALL))
        return NULL;
    for (int k = 0; k < n; k++)
        if (!read_large_car(PySequence_Fast_GET_ITEM(cars, k), &input->cars[k]))
            return NULL;
    int status = assign_large(params, &input->up, &input->down, input->cars, n, input->shares);
    if (status == ASSIGN_MEMORY)
        return PyErr_NoMemory();
    if (status != ASSIGN_OK)
        return refuse_status(status);
    return build_large_shares(input->shares, n);
}

static PyObject *reference_large(const struct assign_params *params, PyObject *up, PyObject *down, PyObject *cars)
{
    Py_ssize_t n = PySequence_Fast_GET_SIZE(cars);
    if (params->floors < 1 || params->floors > ASSIGN_LARGE_MAX_FLOORS || n < 1 || n > ASSIGN_LARGE_MAX_CARS) {
        bool good = n >= 1 && n <= ASSIGN_LARGE_MAX_CARS;
        return refuse_status(good ? ASSIGN_LARGE_FLOORS : ASSIGN_LARGE_CARS);
    }
    struct large_input *input = PyMem_Malloc(sizeof *input);
    if (input == NULL)
        return PyErr_NoMemory();
    PyObject *answer = answer_large(params, up, down, cars, (int)n, input);
    PyMem_Free(input);
    return answer;
}

static PyObject *reference_small(struct input *input, PyObject *up, PyObject *down, PyObject *cars)
{
    if (!read_mask(up, &input->up, ASSIGN_HALL) || !read_mask(down, &input->down, ASSIGN_HALL) ||
        !read_cars(cars, input->cars, &input->n))
        return NULL;
    struct assign_share shares[ASSIGN_MAX_CARS];
    int status = assign_reference(&input->params, input->up, input->down, input->cars, input->n, shares);
    if (status != ASSIGN_OK)
        return refuse_status(status);
    return build_shares(shares, input->n);
}

/* The durations in a signature. */
#define DURATIONS "door_ms=" ASSIGN_TEXT(ASSIGN_DOOR_MS) ", travel_ms=" ASSIGN_TEXT(ASSIGN_TRAVEL_MS)

PyDoc_STRVAR(reference_doc, "reference($module, /, floors, up, down, cars, " DURATIONS
                            ", clear_all=False, has_empty_id=False)\n--\n\n"
                            "Assign hall calls as the course's hall_request_assigner does. Return a pair (up, down) "
                            "for each car.");

static PyObject *reference(PyObject *module, PyObject *args, PyObject *keywords)
{
    (void)module;
    static char *names[] = {"floors",    "up",        "down",         "cars", "door_ms",
                            "travel_ms", "clear_all", "has_empty_id", NULL};
    PyObject *floors, *up, *down, *cars, *door_ms = NULL, *travel_ms = NULL;
    int clear_all = 0, has_empty_id = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOOO|OOpp:reference", names, &floors, &up, &down, &cars,
                                     &door_ms, &travel_ms, &clear_all, &has_empty_id))
        return NULL;
    struct input input;
    struct assign_params *params = &input.params;
    *params = (struct assign_params){.door_ms = ASSIGN_DOOR_MS,
                                     .travel_ms = ASSIGN_TRAVEL_MS,
                                     .clear_all = clear_all != 0,
                                     .has_empty_id = has_empty_id != 0};
    if (!read_int(floors, &params->floors, ASSIGN_LARGE_FLOORS) ||
        (door_ms != NULL && !read_int(door_ms, &params->door_ms, ASSIGN_DURATION)) ||
        (travel_ms != NULL && !read_int(travel_ms, &params->travel_ms, ASSIGN_DURATION)))
        return NULL;
    if (!PyList_Check(cars) && !PyTuple_Check(cars)) {
        refuse("cars must be a list or a tuple");
        return NULL;
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(cars);
    bool is_small = params->floors >= 1 && params->floors <= ASSIGN_MAX_FLOORS && n >= 1 && n <= ASSIGN_MAX_CARS;
    return is_small ? reference_small(&input, up, down, cars) : reference_large(params, up, down, cars);
}

/* The input of the plan-cost assigner and of parking. */
struct plan_input {
    struct input common;
    struct assign_share shares[ASSIGN_MAX_CARS];
    struct plan_rates rates;
};

static bool read_plan_input(PyObject *cars, PyObject *shares, PyObject *up_rates, PyObject *down_rates,
                            PyObject *door_ms, PyObject *travel_ms, struct plan_input *input)
{
    struct assign_params *params = &input->common.params;
    *params = (struct assign_params){
        .floors = params->floors, .door_ms = ASSIGN_DOOR_MS, .travel_ms = ASSIGN_TRAVEL_MS};
    return read_cars(cars, input->common.cars, &input->common.n) &&
           read_shares(shares, input->common.n, input->shares) &&
           read_rates(up_rates, params->floors, input->rates.up) &&
           read_rates(down_rates, params->floors, input->rates.down) &&
           (door_ms == NULL || read_int(door_ms, &params->door_ms, ASSIGN_DOOR)) &&
           (travel_ms == NULL || read_int(travel_ms, &params->travel_ms, ASSIGN_TRAVEL));
}

/* Read and check the number of floors, on which the size of the masks and rates depends. */
static bool read_plan_floors(PyObject *object, int *floors)
{
    if (!read_int(object, floors, ASSIGN_FLOORS))
        return false;
    return (*floors >= 1 && *floors <= ASSIGN_MAX_FLOORS) || refuse(assign_message(ASSIGN_FLOORS));
}

PyDoc_STRVAR(plan_doc, "plan($module, floors, up, down, cars, claims, waited, up_rates, down_rates, " DURATIONS
                       ", /)\n--\n\nAssign hall calls so that passengers wait as little as possible. Return a pair "
                       "(up, down) for each car.");

static PyObject *plan(PyObject *module, PyObject *args)
{
    (void)module;
    struct plan_input input;
    struct plan_waited waited;
    PyObject *floors, *up, *down, *cars, *claims, *ages, *up_rates, *down_rates, *door_ms = NULL, *travel_ms = NULL;
    if (!PyArg_ParseTuple(args, "OOOOOOOO|OO:plan", &floors, &up, &down, &cars, &claims, &ages, &up_rates, &down_rates,
                          &door_ms, &travel_ms))
        return NULL;
    if (!read_plan_floors(floors, &input.common.params.floors) || !read_mask(up, &input.common.up, ASSIGN_HALL) ||
        !read_mask(down, &input.common.down, ASSIGN_HALL) ||
        !read_plan_input(cars, claims, up_rates, down_rates, door_ms, travel_ms, &input) ||
        !read_shares(ages, PLAN_AGES, waited.calls))
        return NULL;
    struct assign_share shares[ASSIGN_MAX_CARS];
    int status = plan_assign(&input.common.params, input.common.up, input.common.down, input.common.cars, input.shares,
                             input.common.n, &input.rates, &waited, shares, NULL);
    if (status != ASSIGN_OK)
        return refuse_status(status);
    return build_shares(shares, input.common.n);
}

PyDoc_STRVAR(park_doc, "park($module, floors, cars, shares, up_rates, down_rates, sparing=False, " DURATIONS
                       ", /)\n--\n\nReturn the floor where each car should wait; -1 for a car that is not free.");

static PyObject *park(PyObject *module, PyObject *args)
{
    (void)module;
    int sparing = 0;
    struct plan_input input;
    PyObject *floors, *cars, *shares, *up_rates, *down_rates, *door_ms = NULL, *travel_ms = NULL;
    if (!PyArg_ParseTuple(args, "OOOOO|pOO:park", &floors, &cars, &shares, &up_rates, &down_rates, &sparing, &door_ms,
                          &travel_ms))
        return NULL;
    if (!read_plan_floors(floors, &input.common.params.floors) ||
        !read_plan_input(cars, shares, up_rates, down_rates, door_ms, travel_ms, &input))
        return NULL;
    int targets[ASSIGN_MAX_CARS];
    const int n = input.common.n;
    int status = plan_park(&input.common.params, input.common.cars, input.shares, n, &input.rates, sparing != 0,
                           targets, NULL);
    if (status != ASSIGN_OK)
        return refuse_status(status);
    return build_ints(targets, n);
}

PyDoc_STRVAR(decide_doc, "decide($module, floor, direction, up, down, cab, departing, /)\n--\n\n"
                         "Decide as elevator.core.motion.decide does, by the rules that the assigner simulates.");

static PyObject *decide(PyObject *module, PyObject *args)
{
    (void)module;
    int floor, direction, departing;
    unsigned long long up, down, cab;
    if (!PyArg_ParseTuple(args, "iiKKKp:decide", &floor, &direction, &up, &down, &cab, &departing))
        return NULL;
    if (floor < 0 || floor >= ASSIGN_MAX_FLOORS || (direction != UP && direction != DOWN)) {
        refuse("floor must be below " ASSIGN_TEXT(ASSIGN_MAX_FLOORS) " and direction -1 or 1");
        return NULL;
    }
    struct motion_work work = {up, down, cab};
    struct motion_move next = motion_decide(floor, direction, &work, departing != 0);
    return Py_BuildValue("(ii)", next.behaviour, next.direction);
}

static PyMethodDef functions[] = {
    {"reference", (PyCFunction)(void (*)(void))reference, METH_VARARGS | METH_KEYWORDS, reference_doc},
    {"plan", plan, METH_VARARGS, plan_doc},
    {"park", park, METH_VARARGS, park_doc},
    {"decide", decide, METH_VARARGS, decide_doc},
    {NULL, NULL, 0, NULL},
};

static int add_constants(PyObject *module)
{
    bool is_added = PyModule_AddIntConstant(module, "MAX_FLOORS", ASSIGN_MAX_FLOORS) == 0 &&
                    PyModule_AddIntConstant(module, "MAX_CARS", ASSIGN_MAX_CARS) == 0 &&
                    PyModule_AddIntConstant(module, "TRAVEL_MS", ASSIGN_TRAVEL_MS) == 0 &&
                    PyModule_AddIntConstant(module, "DOOR_MS", ASSIGN_DOOR_MS) == 0 &&
                    PyModule_AddIntConstant(module, "OBSTRUCTED", PLAN_OBSTRUCTED) == 0 &&
                    PyModule_AddIntConstant(module, "AGES", PLAN_AGES) == 0 &&
                    PyModule_AddIntConstant(module, "AGE_MS", PLAN_AGE_MS) == 0;
    return is_added ? 0 : -1;
}

/* __extension__: Python keeps the function as a void *, which ISO C does not allow and POSIX does. */
static PyModuleDef_Slot slots[] = {{Py_mod_exec, __extension__(void *)add_constants}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "elevator._assign",
    .m_doc = "The assigners of hall calls, in C.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__assign(void);

PyMODINIT_FUNC PyInit__assign(void)
{
    return PyModuleDef_Init(&definition);
}
