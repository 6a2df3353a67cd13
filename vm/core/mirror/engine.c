/* The copier itself: its thread, the commands that reach it, and its end. */
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum {
  DEFAULT_MEMORY = 64 << 20,
  LEAST_MEMORY = 4 << 20, /* one fetch of each kind */
  DEFAULT_PROGRESS_MS = 20,
  DEFAULT_TIMEOUT_MS = 30000
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
  free((char *)told->flow.source.host);
  free((char *)told->flow.source.topic);
  free((char *)told->flow.target.host);
  free((char *)told->flow.target.topic);
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

static int post(tsh_mirror *mirror, command *told, tsh_err *err) {
  if (told == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "mirror", 0, "out of memory");
  pthread_mutex_lock(&mirror->lock);
  *mirror->commands_end = told;
  mirror->commands_end = &told->next;
  pthread_mutex_unlock(&mirror->lock);
  tsh_bell_ring(mirror->bell);
  return 0;
}

static bool copy_side(tsh_mirror_side *to, const tsh_mirror_side *from) {
  to->host = strdup(from->host);
  to->topic = strdup(from->topic);
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
    if (!copy_side(&told->flow.source, &flow->source) ||
        !copy_side(&told->flow.target, &flow->target)) {
      free_command(told);
      told = NULL;
    }
  }
  return post(mirror, told, err);
}

int tsh_mirror_stop(tsh_mirror *mirror, const char *id, tsh_err *err) {
  return post(mirror, new_command(STOP, id), err);
}

int tsh_mirror_go_on(tsh_mirror *mirror, const tsh_mirror_resume *resume,
                     tsh_err *err) {
  command *told = new_command(GO_ON, resume->id);
  if (told != NULL)
    told->resume = *resume;
  return post(mirror, told, err);
}

/* --- commands, on the copier's thread --- */

static void refuse(tsh_mirror *mirror, const char *id, const tsh_err *err) {
  tsh_mirror_event *stop = tsh_mirror__event_new(TSH_MIRROR_STOPPED, id);
  stop->reason = TSH_MIRROR_FAILED;
  stop->err = *err;
  tsh_mirror__post(mirror, stop);
}

static void start_flow(tsh_mirror *mirror, const tsh_mirror_flow *spec) {
  tsh_err err;
  flow *started;
  if (tsh_mirror__find(mirror, spec->id) != NULL) {
    tsh_err_set(&err, TSH_EXISTS, "mirror", 0, "%s runs already", spec->id);
    refuse(mirror, spec->id, &err);
  } else if (spec->target_offset > spec->log_end ||
             (spec->same && spec->source_offset != spec->target_offset)) {
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
  pthread_mutex_lock(&mirror->lock);
  command *told = mirror->commands;
  mirror->commands = NULL;
  mirror->commands_end = &mirror->commands;
  pthread_mutex_unlock(&mirror->lock);
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

/* --- its own life --- */

static void *live(void *user) {
  tsh_mirror *mirror = user;
  tsh_loop_run(mirror->loop);
  return NULL;
}

static void set_options(tsh_mirror *mirror, const tsh_mirror_options *options) {
  tsh_mirror_options *own = &mirror->options;
  *own = *options;
  if (own->memory == 0)
    own->memory = DEFAULT_MEMORY;
  if (own->memory < LEAST_MEMORY)
    own->memory = LEAST_MEMORY;
  if (own->progress_ms == 0)
    own->progress_ms = DEFAULT_PROGRESS_MS;
  if (own->timeout_ms == 0)
    own->timeout_ms = DEFAULT_TIMEOUT_MS;
}

static void free_mirror(tsh_mirror *mirror) {
  pthread_mutex_destroy(&mirror->lock);
  tsh_aborted_fini(&mirror->aborted);
  tsh_records_fini(&mirror->records);
  tsh_builder_fini(&mirror->builder);
  for (tsh_mirror_event *next; mirror->events != NULL; mirror->events = next) {
    next = mirror->events->next;
    tsh_mirror_event_free(mirror->events);
  }
  free(mirror->table);
  free(mirror);
}

int tsh_mirror_open(tsh_mirror **out, const tsh_mirror_options *options,
                    tsh_err *err) {
  tsh_mirror *mirror = calloc(1, sizeof *mirror);
  if (mirror == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "mirror", 0, "out of memory");
  set_options(mirror, options);
  pthread_mutex_init(&mirror->lock, NULL);
  TAILQ_INIT(&mirror->dirty);
  mirror->commands_end = &mirror->commands;
  mirror->events_end = &mirror->events;
  tsh_aborted_init(&mirror->aborted);
  tsh_records_init(&mirror->records);
  tsh_builder_init(&mirror->builder);
  int status = tsh_loop_open(&mirror->loop, err);
  if (status != 0) {
    free_mirror(mirror);
    return status;
  }
  mirror->bell = tsh_bell_open(mirror->loop, rung, mirror);
  int failed = pthread_create(&mirror->thread, NULL, live, mirror);
  if (failed != 0) {
    status = tsh_err_errno(err, failed, "copier thread");
    tsh_bell_close(mirror->bell);
    tsh_loop_close(mirror->loop);
    free_mirror(mirror);
    return status;
  }
  *out = mirror;
  return 0;
}

void tsh_mirror_mute(tsh_mirror *mirror) {
  pthread_mutex_lock(&mirror->lock);
  mirror->options.rung = NULL;
  pthread_mutex_unlock(&mirror->lock);
}

void tsh_mirror_close(tsh_mirror *mirror) {
  tsh_mirror_mute(mirror);
  while (post(mirror, new_command(CLOSE, ""), NULL) != 0)
    continue; /* there is no other way to end it */
  pthread_join(mirror->thread, NULL);
  tsh_loop_close(mirror->loop);
  free_mirror(mirror);
}
