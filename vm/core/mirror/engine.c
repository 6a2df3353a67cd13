/* The copier itself: its workers, the commands that reach them, their end. */
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum {
  DEFAULT_MEMORY = 64 << 20,
  LEAST_MEMORY = 4 << 20,  /* one fetch of each kind */
  LARGEST_KEPT = 32 << 20, /* the most that glibc takes for a threshold */
  DEFAULT_PROGRESS_MS = 20,
  DEFAULT_TIMEOUT_MS = 30000,
  DEFAULT_WORKERS = 4 /* at most: beyond, brokers are what is slow */
};

typedef enum verb { START, STOP, GO_ON, CLOSE } verb;

typedef struct command {
  struct command *next;
  verb verb;
  char *id;
  tsh_mirror_flow flow; /* START; its texts are the command's own */
  tsh_mirror_resume resume;
} command;

/* --- commands, on the owner's thread --- */

static void free_command(command *told) {
  free(told->id);
  tsh_login_release(told->flow.source.login);
  tsh_login_release(told->flow.target.login);
  free((char *)told->flow.source.host);
  free((char *)told->flow.source.topic);
  free((char *)told->flow.target.host);
  free((char *)told->flow.target.topic);
  tsh_mirror__producers_free(&told->flow);
  free(told);
}

static command *new_command(verb verb, const char *id) {
  command *told = calloc(1, sizeof *told);
  if (told != NULL && (told->id = strdup(id)) == NULL) {
    free(told);
    return NULL;
  }
  if (told != NULL)
    told->verb = verb;
  return told;
}

static int no_memory(tsh_err *err) {
  return tsh_err_set(err, TSH_NO_MEMORY, "mirror", 0, "out of memory");
}

/* With the lock held. */
static void post(tsh_mirror *worker, command *told) {
  *worker->commands_end = told;
  worker->commands_end = &told->next;
  tsh_bell_ring(worker->bell);
}

/* To the worker that has the flow, or that shall have it. */
static int send(tsh_mirror *mirror, command *told, tsh_err *err) {
  shared *shared = mirror->shared;
  if (told == NULL)
    return no_memory(err);
  pthread_mutex_lock(&shared->lock);
  tsh_mirror *worker = told->verb == START
                           ? tsh_mirror__route_new(shared, told->id)
                           : tsh_mirror__route(shared, told->id);
  if (worker != NULL)
    post(worker, told);
  pthread_mutex_unlock(&shared->lock);
  if (worker != NULL)
    return 0;
  free_command(told);
  return no_memory(err);
}

static bool copy_side(tsh_mirror_side *to, const tsh_mirror_side *from) {
  to->host = strdup(from->host);
  to->topic = strdup(from->topic);
  to->login = tsh_login_keep(from->login);
  return to->host != NULL && to->topic != NULL;
}

int tsh_mirror_start(tsh_mirror *mirror, const tsh_mirror_flow *flow,
                     tsh_err *err) {
  command *told = new_command(START, flow->id);
  if (told != NULL) {
    told->flow = *flow;
    told->flow.id = told->id;
    told->flow.source.host = told->flow.source.topic = NULL;
    told->flow.target.host = told->flow.target.topic = NULL;
    told->flow.source.login = told->flow.target.login = NULL;
    told->flow.producers = NULL;
    if (!copy_side(&told->flow.source, &flow->source) ||
        !copy_side(&told->flow.target, &flow->target) ||
        !tsh_mirror__producers_copy(&told->flow, flow)) {
      free_command(told);
      told = NULL;
    }
  }
  return send(mirror, told, err);
}

int tsh_mirror_stop(tsh_mirror *mirror, const char *id, tsh_err *err) {
  return send(mirror, new_command(STOP, id), err);
}

int tsh_mirror_go_on(tsh_mirror *mirror, const tsh_mirror_resume *resume,
                     tsh_err *err) {
  command *told = new_command(GO_ON, resume->id);
  if (told != NULL)
    told->resume = *resume;
  return send(mirror, told, err);
}

/* --- commands, on the worker's thread --- */

static void refuse(tsh_mirror *mirror, const char *id, const tsh_err *err) {
  shared *shared = mirror->shared;
  tsh_mirror_event *stop = tsh_mirror__event_new(TSH_MIRROR_STOPPED, id);
  stop->reason = TSH_MIRROR_FAILED;
  stop->err = *err;
  tsh_mirror__post(mirror, stop);
  pthread_mutex_lock(&shared->lock);
  tsh_mirror__route_end(shared, id);
  pthread_mutex_unlock(&shared->lock);
}

static void start_flow(tsh_mirror *mirror, const tsh_mirror_flow *spec) {
  tsh_err err;
  flow *started;
  if (tsh_mirror__find(mirror, spec->id) != NULL) {
    tsh_err_set(&err, TSH_EXISTS, "mirror", 0, "%s runs already", spec->id);
    refuse(mirror, spec->id, &err);
  } else if (spec->target_offset > spec->log_end ||
             (spec->same && spec->source_offset != spec->target_offset) ||
             (spec->transactions && !spec->same)) {
    tsh_err_set(&err, TSH_INVALID, "mirror", 0,
                "%s cannot start at source offset %lld, target offset %lld, "
                "log end %lld",
                spec->id, (long long)spec->source_offset,
                (long long)spec->target_offset, (long long)spec->log_end);
    refuse(mirror, spec->id, &err);
  } else if (tsh_mirror__flow_new(mirror, spec, &started, &err) != 0) {
    refuse(mirror, spec->id, &err);
  } else {
    tsh_mirror__want_fetch(started, false);
  }
}

static void stop_flow(tsh_mirror *mirror, const char *id) {
  flow *stopped = tsh_mirror__find(mirror, id);
  if (stopped == NULL) {
    tsh_mirror__answer_unknown(mirror, id);
    return;
  }
  if (stopped->stop == NULL)
    tsh_mirror__end(stopped, TSH_MIRROR_ASKED, false, NULL);
  stopped->drain = false; /* what is queued is read again another time */
  stopped->stop->answer = true;
  tsh_mirror__settle(stopped);
}

/* Requests in flight are dropped with their connections: nobody can say what
 * became of them, and nobody asks. */
static void close_all(tsh_mirror *mirror) {
  mirror->closing = true;
  tsh_mirror__shut_links(mirror);
  for (size_t i = 0; i < mirror->table_size; i++)
    while (mirror->table[i] != NULL)
      tsh_mirror__flow_drop(mirror->table[i]);
  tsh_mirror__sweep_links(mirror);
  tsh_mirror__progress_stop(mirror);
  tsh_mirror__rate_stop(mirror);
  tsh_bell_close(mirror->bell);
}

static void obey(tsh_mirror *mirror, command *told) {
  flow *meant;
  switch (told->verb) {
    case START:
      start_flow(mirror, &told->flow);
      break;
    case STOP:
      stop_flow(mirror, told->id);
      break;
    case GO_ON:
      meant = tsh_mirror__find(mirror, told->id);
      if (meant != NULL)
        tsh_mirror__go_on(meant, told->resume.target_offset,
                          told->resume.producer_epoch, told->resume.sequence);
      break;
    case CLOSE:
      close_all(mirror);
      break;
  }
  free_command(told);
}

static void rung(void *user) {
  tsh_mirror *mirror = user;
  pthread_mutex_lock(&mirror->shared->lock);
  command *told = mirror->commands;
  mirror->commands = NULL;
  mirror->commands_end = &mirror->commands;
  pthread_mutex_unlock(&mirror->shared->lock);
  while (told != NULL) {
    command *next = told->next;
    if (mirror->closing)
      free_command(told);
    else
      obey(mirror, told);
    told = next;
  }
  if (mirror->closing)
    return;
  tsh_mirror__pump_senders(mirror);
  tsh_mirror__pump_sources(mirror);
  tsh_mirror__sweep_links(mirror);
}

/* --- a worker's life --- */

static void *live(void *user) {
  tsh_mirror *worker = user;
  tsh_loop_run(worker->loop);
  return NULL;
}

static void free_worker(tsh_mirror *worker) {
  tsh_aborted_fini(&worker->aborted);
  tsh_records_fini(&worker->records);
  tsh_legacy_fini(&worker->legacy);
  tsh_builder_fini(&worker->builder);
  free(worker->table);
  free(worker);
}

static int hire(shared *shared, const tsh_mirror_options *options,
                tsh_err *err) {
  tsh_mirror *worker = calloc(1, sizeof *worker);
  if (worker == NULL)
    return no_memory(err);
  worker->shared = shared;
  worker->progress_ms =
      options->progress_ms > 0 ? options->progress_ms : DEFAULT_PROGRESS_MS;
  worker->timeout_ms =
      options->timeout_ms > 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
  TAILQ_INIT(&worker->dirty);
  worker->commands_end = &worker->commands;
  tsh_aborted_init(&worker->aborted);
  tsh_records_init(&worker->records);
  tsh_legacy_init(&worker->legacy);
  tsh_builder_init(&worker->builder);
  int status = tsh_loop_open(&worker->loop, err);
  if (status != 0) {
    free_worker(worker);
    return status;
  }
  worker->bell = tsh_bell_open(worker->loop, rung, worker);
  int failed = pthread_create(&worker->thread, NULL, live, worker);
  if (failed != 0) {
    tsh_bell_close(worker->bell);
    tsh_loop_close(worker->loop);
    free_worker(worker);
    return tsh_err_errno(err, failed, "copier thread");
  }
  shared->workers[shared->worker_count++] = worker;
  return 0;
}

static void dismiss(tsh_mirror *worker, command *close) {
  pthread_mutex_lock(&worker->shared->lock);
  post(worker, close);
  pthread_mutex_unlock(&worker->shared->lock);
}

static void leave(tsh_mirror *worker) {
  pthread_join(worker->thread, NULL);
  tsh_loop_close(worker->loop);
  free_worker(worker);
}

/* --- all of them --- */

static size_t how_many(size_t wanted) {
  cpu_set_t cores;
  if (wanted == 0) {
    wanted = sched_getaffinity(0, sizeof cores, &cores) == 0
                 ? (size_t)CPU_COUNT(&cores)
                 : 1;
    if (wanted > DEFAULT_WORKERS)
      wanted = DEFAULT_WORKERS;
  }
  return wanted < MOST_WORKERS ? wanted : MOST_WORKERS;
}

static shared *new_shared(const tsh_mirror_options *options) {
  shared *shared = calloc(1, sizeof *shared);
  if (shared == NULL)
    return NULL;
  pthread_mutex_init(&shared->lock, NULL);
  shared->events_end = &shared->events;
  shared->rung = options->rung;
  shared->user = options->user;
  tsh_mirror__limit_rate(shared, options->rate);
  shared->memory = options->memory > 0 ? options->memory : DEFAULT_MEMORY;
  if (shared->memory < LEAST_MEMORY)
    shared->memory = LEAST_MEMORY;
  return shared;
}

/* Nobody else is there to be waited for by then. */
static void end_shared(shared *shared) {
  for (size_t i = 0; i < shared->worker_count; i++) {
    command *close;
    while ((close = new_command(CLOSE, "")) == NULL)
      continue; /* there is no other way to end it */
    dismiss(shared->workers[i], close);
  }
  for (size_t i = 0; i < shared->worker_count; i++)
    leave(shared->workers[i]);
  pthread_mutex_destroy(&shared->lock);
  for (tsh_mirror_event *next; shared->events != NULL; shared->events = next) {
    next = shared->events->next;
    tsh_mirror_event_free(shared->events);
  }
  tsh_mirror__routes_free(shared);
  free(shared);
}

/* Replies of a megabyte come and go a hundred times a second. Left to itself
 * the allocator hands their pages back each time, and the kernel clears them
 * again, which was a fifth of a copy's CPU. They stay as many as the budget
 * lets there be at once. What was free before goes back: it was of use to
 * somebody who looked at whole clusters, once. */
static void keep_pages(void) {
  malloc_trim(0);
  mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT);
  mallopt(M_TRIM_THRESHOLD, DEFAULT_MEMORY);
}

int tsh_mirror_open(tsh_mirror **out, const tsh_mirror_options *options,
                    tsh_err *err) {
  shared *shared = new_shared(options);
  if (shared == NULL)
    return no_memory(err);
  keep_pages();
  size_t wanted = how_many(options->workers);
  while (shared->worker_count < wanted) {
    int status = hire(shared, options, err);
    if (status != 0) {
      end_shared(shared);
      return status;
    }
  }
  *out = shared->workers[0];
  return 0;
}

tsh_mirror_usage tsh_mirror_use(const tsh_mirror *mirror) {
  shared *shared = mirror->shared;
  return (tsh_mirror_usage){.memory = atomic_load(&shared->held),
                            .memory_limit = shared->memory,
                            .connections = atomic_load(&shared->meter.open),
                            .throttled_ms =
                                atomic_load(&shared->meter.throttled_ms)};
}

void tsh_mirror_mute(tsh_mirror *mirror) {
  pthread_mutex_lock(&mirror->shared->lock);
  mirror->shared->rung = NULL;
  pthread_mutex_unlock(&mirror->shared->lock);
}

void tsh_mirror_close(tsh_mirror *mirror) {
  tsh_mirror_mute(mirror);
  end_shared(mirror->shared);
}
