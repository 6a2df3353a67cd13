/* Boxes: limits on what untrusted code may use up.
 *
 * All tasks of a box share its limits. A count hook watches instructions and
 * the time of a slice; over a limit it yields, and the scheduler never resumes
 * the task: an error would be swallowed by a pcall in a loop. Where it cannot
 * yield (a sort comparator) it raises, and yields at the next chance. Memory
 * is refused by the allocator, which Lua turns into an error; the pcall of the
 * sandbox does not hold it (sandbox.c). */
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "box.h"

static const char metatable[] = "box";

enum {
  STEP = 1000,         /* instructions between two looks */
  LOOKS_PER_CLOCK = 4, /* asking for the time costs more than a look */
  GRACE_INSTRUCTIONS = 1000000,
  GRACE_MEMORY = 1 << 20,
  DEFAULT_MEMORY = 64 << 20,
  DEFAULT_SLICE_MS = 250,
  DEFAULT_OUTPUT = 1 << 20,
};
static const int64_t default_instructions = 1000000000;

struct tsh_box {
  size_t memory;      /* bytes the state may grow by */
  size_t memory_base; /* what it used when the box was made */
  int64_t instructions, instructions_left;
  int64_t output, output_left;
  int64_t slice_ms, slice_end_ns;
  int64_t grace_left; /* instructions for closers, while they run */
  unsigned looks;
  bool is_closing;
  const char *exhausted; /* the limit that was passed, or NULL */
};

/* Time of this thread alone: other processes on the machine do not use up the
 * slice of a runbook. */
static int64_t cpu_ns(void) {
  struct timespec t;

  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void look(tsh_box *box) {
  if (box->is_closing) {
    box->grace_left -= STEP;
    return;
  }
  box->instructions_left -= STEP;
  if (box->exhausted != NULL)
    return;
  if (box->instructions_left <= 0)
    box->exhausted = "instructions";
  else if (++box->looks % LOOKS_PER_CLOCK == 0 && cpu_ns() > box->slice_end_ns)
    box->exhausted = "time without waiting";
}

bool tsh_box_must_stop(const tsh_box *box) {
  return box->is_closing ? box->grace_left < 0 : box->exhausted != NULL;
}

int tsh_box_stop(lua_State *L, const tsh_box *box) {
  if (!box->is_closing && lua_isyieldable(L))
    return lua_yield(L, 0);
  return luaL_error(L, "limit reached: %s",
                    box->is_closing ? "time to close" : box->exhausted);
}

static void hook(lua_State *L, lua_Debug *ar) {
  tsh_box *box = tsh_bind_state(L)->box;

  (void)ar;
  if (box == NULL)
    return;
  look(box);
  if (tsh_box_must_stop(box))
    tsh_box_stop(L, box);
}

void tsh_box_enter(tsh_state *state, tsh_box *box, lua_State *co) {
  state->box = box;
  if (box == NULL)
    return;
  box->slice_end_ns = cpu_ns() + box->slice_ms * 1000000;
  lua_sethook(co, hook, LUA_MASKCOUNT, STEP);
}

void tsh_box_grace(tsh_state *state, tsh_box *box, bool begin) {
  state->box = box;
  if (box == NULL)
    return;
  box->is_closing = begin;
  box->grace_left = GRACE_INSTRUCTIONS;
}

bool tsh_box_exhausted(const tsh_box *box, tsh_err *err) {
  if (box->exhausted == NULL)
    return false;
  tsh_err_set(err, TSH_LIMIT, "sandbox", 0, "limit reached: %s",
              box->exhausted);
  return true;
}

void tsh_box_no_memory(tsh_box *box) {
  if (box->exhausted == NULL)
    box->exhausted = "memory";
}

bool tsh_box_allows(const tsh_box *box, size_t used, size_t more) {
  size_t limit = box->memory_base + box->memory;

  if (box->is_closing)
    limit += GRACE_MEMORY;
  return used + more <= limit;
}

/* The box class, for sandbox.c. */

tsh_box *tsh_box_check(lua_State *L, int index) {
  return luaL_checkudata(L, index, metatable);
}

static int64_t limit(lua_State *L, const char *name, int64_t fallback) {
  lua_Integer value = tsh_bind_opt_integer(L, 1, name, fallback);

  if (value <= 0)
    luaL_error(L, "limit '%s' must be positive", name);
  return value;
}

int tsh_box_new(lua_State *L) {
  static const char *const names[] = {"memory", "instructions", "slice_ms",
                                      "output", NULL};
  tsh_box *box;

  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  tsh_bind_options(L, 1, names);
  box = lua_newuserdatauv(L, sizeof *box, 0);
  memset(box, 0, sizeof *box);
  box->memory = (size_t)limit(L, "memory", DEFAULT_MEMORY);
  box->instructions = limit(L, "instructions", default_instructions);
  box->slice_ms = limit(L, "slice_ms", DEFAULT_SLICE_MS);
  box->output = limit(L, "output", DEFAULT_OUTPUT);
  box->instructions_left = box->instructions;
  box->output_left = box->output;
  box->memory_base = tsh_bind_state(L)->used;
  luaL_setmetatable(L, metatable);
  return 1;
}

bool tsh_box_charge_output(tsh_box *box, size_t bytes) {
  box->output_left -= (int64_t)bytes;
  if (box->output_left < 0 && box->exhausted == NULL)
    box->exhausted = "output";
  return box->exhausted == NULL;
}

void tsh_box_usage(lua_State *L, const tsh_box *box) {
  size_t used = tsh_bind_state(L)->used;

  lua_createtable(L, 0, 3);
  lua_pushinteger(L, box->instructions - box->instructions_left);
  lua_setfield(L, -2, "instructions");
  lua_pushinteger(L, box->output - box->output_left);
  lua_setfield(L, -2, "output");
  lua_pushinteger(
      L, used > box->memory_base ? (lua_Integer)(used - box->memory_base) : 0);
  lua_setfield(L, -2, "memory");
}

void tsh_box_class(lua_State *L) {
  luaL_newmetatable(L, metatable);
  lua_insert(L, -2);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, metatable);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
