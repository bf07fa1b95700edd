# The entry of the running task in asyncio's dictionary of current tasks, which asyncio.current_task() reads up to 3.13. Imports
# nothing.
#
# Every step writes it. Through the dictionary's functions that was 140 instructions, a fourteenth of all that handing a value
# over takes: a look-up by hash, and an insertion that looks again. But what is written is nearly always the value of the entry
# that was added last, whose place needs no look-up. So it is replaced where it lies, after a look whether it is that entry; else
# the dictionary is asked.

from cpython.object cimport PyObject


cdef extern from *:
    """
    /* From 3.14 on the current task is in the thread state, behind a function. */
    #define ROUTINES_TASK_IN_DICT (PY_VERSION_HEX < 0x030E0000)

    /* 3.12 and older let the hash be given: the loop's is computed once, and not for every step. */
    #if PY_VERSION_HEX < 0x030D0000
    #  define routines_insert_task(tasks, loop, task, hash) _PyDict_SetItem_KnownHash(tasks, loop, task, hash)
    #  define routines_delete_task(tasks, loop, hash) _PyDict_DelItem_KnownHash(tasks, loop, hash)
    #  define routines_find_task(tasks, loop, hash) _PyDict_GetItem_KnownHash(tasks, loop, hash)
    #else
    #  define routines_insert_task(tasks, loop, task, hash) PyDict_SetItem(tasks, loop, task)
    #  define routines_delete_task(tasks, loop, hash) PyDict_DelItem(tasks, loop)
    #  define routines_find_task(tasks, loop, hash) PyDict_GetItemWithError(tasks, loop)
    #endif

    #if ROUTINES_TASK_IN_DICT && !defined(Py_GIL_DISABLED)
    /* The layout of a dictionary's keys, which is private to CPython and the same from 3.11 to 3.13; routines_learn_tasks() makes
       sure. */
    typedef struct {
        Py_ssize_t references;
        uint8_t log2_size;
        uint8_t log2_index_bytes;
        uint8_t kind;           /* 0: keys of any type, each entry with its hash */
        uint32_t version;
        Py_ssize_t usable;
        Py_ssize_t entries;     /* how many there are, those that were deleted since included */
        char indices[1];        /* 1 << log2_index_bytes of them, and then the entries */
    } routines_dict_keys;

    typedef struct {
        Py_hash_t hash;
        PyObject *key;
        PyObject *value;
    } routines_dict_entry;

    /* The place of the value of the entry that was added last, if it is that of ``key``; else NULL. */
    static inline PyObject **routines_last_value(PyObject *dict, PyObject *key)
    {
        routines_dict_keys *keys = (routines_dict_keys *)((PyDictObject *)dict)->ma_keys;
        routines_dict_entry *entry;
        if (keys->kind != 0 || keys->entries <= 0) return NULL;
        entry = (routines_dict_entry *)(keys->indices + ((size_t)1 << keys->log2_index_bytes)) + (keys->entries - 1);
        return entry->key == key && entry->value != NULL ? &entry->value : NULL;
    }

    /* Whether this interpreter's dictionaries are laid out as above; until it is known, nothing is replaced in place. */
    static int routines_layout_known = 0;

    static int routines_learn_tasks(void)
    {
        PyObject *dict = PyDict_New();
        PyObject *keys[3] = {(PyObject *)&PyDict_Type, (PyObject *)&PyList_Type, (PyObject *)&PyTuple_Type};
        int known = 1;
        int i;
        if (dict == NULL) return -1;
        for (i = 0; i < 3; i++) {
            PyObject **place;
            if (PyDict_SetItem(dict, keys[i], keys[i]) < 0) goto failed;
            place = routines_last_value(dict, keys[i]);
            known = known && place != NULL && *place == keys[i] && routines_last_value(dict, (PyObject *)dict) == NULL;
        }
        if (PyDict_DelItem(dict, keys[2]) < 0) goto failed;
        routines_layout_known = known && routines_last_value(dict, keys[2]) == NULL;
        Py_DECREF(dict);
        return 0;
    failed:
        Py_DECREF(dict);
        return -1;
    }

    static inline int routines_set_task(PyObject *tasks, PyObject *loop, PyObject *task, Py_hash_t hash)
    {
        PyObject **place = routines_layout_known ? routines_last_value(tasks, loop) : NULL;
        PyObject *old;
        (void)hash;
        if (place == NULL) return routines_insert_task(tasks, loop, task, hash);
        /* The dictionary is tracked by the collector already: only something that is tracked is ever put there. */
        old = *place;
        *place = Py_NewRef(task);
        Py_DECREF(old);
        return 0;
    }

    static inline PyObject *routines_get_task(PyObject *tasks, PyObject *loop, Py_hash_t hash)
    {
        PyObject **place = routines_layout_known ? routines_last_value(tasks, loop) : NULL;
        (void)hash;
        return place != NULL ? *place : routines_find_task(tasks, loop, hash);
    }
    #else
    #  define routines_learn_tasks() 0
    #  define routines_get_task(tasks, loop, hash) routines_find_task(tasks, loop, hash)
    #  define routines_set_task(tasks, loop, task, hash) routines_insert_task(tasks, loop, task, hash)
    #endif

    /* No task runs: not even one that was taken away meanwhile. */
    static inline int routines_no_task(PyObject *tasks, PyObject *loop, Py_hash_t hash)
    {
        (void)hash;
        if (routines_delete_task(tasks, loop, hash) == 0) return 0;
        if (!PyErr_ExceptionMatches(PyExc_KeyError)) return -1;
        PyErr_Clear();
        return 0;
    }
    """
    const bint ROUTINES_TASK_IN_DICT
    int routines_learn_tasks() except -1
    int routines_set_task(PyObject *tasks, PyObject *loop, PyObject *task, Py_hash_t hash) except -1
    int routines_no_task(PyObject *tasks, PyObject *loop, Py_hash_t hash) except -1
    PyObject *routines_get_task(PyObject *tasks, PyObject *loop, Py_hash_t hash) except? NULL    # borrowed
