/* Child processes on libuv. */
#include "tranship/process.h"

#include <stdlib.h>
#include <uv.h>

typedef struct waiter {
  tsh_process_op public;
  struct waiter *next;
} waiter;

struct tsh_process {
  uv_process_t uv;
  bool is_ended, is_closed, is_gone; /* gone: its libuv handle is closed */
  int64_t code;
  int number;
  waiter *waiters;
};

static void *must_alloc(size_t size) {
  void *p = calloc(1, size);

  if (p == NULL)
    abort();
  return p;
}

static void tell(waiter *w, int status) {
  tsh_process *process = w->public.process;

  w->public.process = NULL;
  w->public.code = process->code;
  w->public.number = process->number;
  w->public.op.status = status;
  w->public.op.done(&w->public.op);
}

static void tell_all(tsh_process *process, int status) {
  while (process->waiters != NULL) {
    waiter *w = process->waiters;

    process->waiters = w->next;
    if (status != 0)
      tsh_err_set(&w->public.op.err, (tsh_kind)status, "sys", 0, "closed");
    tell(w, status);
  }
}

static void handle_closed(uv_handle_t *handle) {
  tsh_process *process = handle->data;

  process->is_gone = true;
  if (process->is_closed)
    free(process);
}

static void ended(uv_process_t *uv, int64_t code, int number) {
  tsh_process *process = uv->data;

  process->is_ended = true;
  process->code = code;
  process->number = number;
  uv_close((uv_handle_t *)uv, handle_closed);
  tell_all(process, 0);
}

static uv_stdio_container_t container(int fd) {
  uv_stdio_container_t c = {.flags = fd < 0 ? UV_IGNORE : UV_INHERIT_FD};

  c.data.fd = fd;
  return c;
}

int tsh_process_start(tsh_process **out, tsh_loop *loop, const tsh_spawn *spawn,
                      tsh_err *err) {
  tsh_process *process = must_alloc(sizeof *process);
  int count = 3 + spawn->keep_count, rc;
  uv_stdio_container_t *stdio = must_alloc((size_t)count * sizeof *stdio);
  uv_process_options_t options = {
      .file = spawn->args[0],
      .args = spawn->args,
      .env = spawn->env,
      .cwd = spawn->cwd,
      .exit_cb = ended,
      .flags = spawn->detached ? UV_PROCESS_DETACHED : 0,
      .stdio_count = count,
      .stdio = stdio,
  };

  for (int i = 0; i < count; i++)
    stdio[i] = container(i < 3 ? spawn->streams[i] : spawn->keep[i - 3]);
  rc = uv_spawn(tsh_loop_uv(loop), &process->uv, &options);
  process->uv.data = process;
  free(stdio);
  if (rc != 0) {
    process->is_closed = true;
    uv_close((uv_handle_t *)&process->uv, handle_closed);
    return tsh_err_errno(err, -rc, "start %s", spawn->args[0]);
  }
  *out = process;
  return 0;
}

int tsh_process_pid(const tsh_process *process) { return process->uv.pid; }

int tsh_process_kill(tsh_process *process, int number, tsh_err *err) {
  int rc = process->is_ended ? UV_ESRCH : uv_process_kill(&process->uv, number);

  return rc == 0 ? 0 : tsh_err_errno(err, -rc, "kill %d", process->uv.pid);
}

void tsh_process_close(tsh_process *process) {
  tell_all(process, TSH_CLOSED);
  process->is_closed = true;
  if (process->is_gone)
    free(process);
  else if (!process->is_ended)
    uv_unref((uv_handle_t *)&process->uv); /* reaped if we are still there */
}

bool tsh_process_ended(const tsh_process *process, int64_t *code, int *number) {
  *code = process->code;
  *number = process->number;
  return process->is_ended;
}

static void cancel_wait(tsh_op *op) {
  waiter *w = (waiter *)op;
  waiter **at;

  if (w->public.process == NULL)
    return;
  for (at = &w->public.process->waiters; *at != w; at = &(*at)->next)
    continue;
  *at = w->next;
  tsh_err_set(&op->err, TSH_CANCELED, "sys", 0, "canceled");
  tell(w, TSH_CANCELED);
}

static void free_wait(tsh_op *op) { free(op); }

tsh_process_op *tsh_process_wait(tsh_process *process) {
  waiter *w = must_alloc(sizeof *w);

  w->public.op.cancel = cancel_wait;
  w->public.op.free = free_wait;
  w->public.process = process;
  w->next = process->waiters;
  process->waiters = w;
  return &w->public;
}
