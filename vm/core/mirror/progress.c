/* What was acknowledged, told to the owner: gathered per flow, published from
 * time to time into the mailbox, and gathered there too until it is taken. */
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum { FIRST_SEGMENTS = 4 };

/* Events are small and as needed as the code itself: without them nothing can
 * be told, not even that memory is out. */
tsh_mirror_event *tsh_mirror__event_new(tsh_mirror_kind kind, const char *id) {
  tsh_mirror_event *event = calloc(1, sizeof *event);
  if (event == NULL || (event->id = strdup(id)) == NULL)
    abort();
  event->kind = kind;
  event->source_end = event->log_start = event->log_end = -1;
  event->source_epoch = event->diverging_epoch = event->producer = -1;
  return event;
}

void tsh_mirror_event_free(tsh_mirror_event *event) {
  if (event == NULL)
    return;
  free(event->id);
  free(event->segments);
  free(event);
}

static bool append(tsh_mirror_event *event, tsh_mirror_segment segment) {
  if (event->segment_count > 0) {
    tsh_mirror_segment *last = &event->segments[event->segment_count - 1];
    if (last->source + last->count == segment.source &&
        last->target + last->count == segment.target) {
      last->count += segment.count;
      return true;
    }
  }
  if (event->segment_count == event->segment_capacity) {
    size_t capacity = event->segment_capacity == 0
                          ? FIRST_SEGMENTS
                          : 2 * event->segment_capacity;
    tsh_mirror_segment *grown =
        realloc(event->segments, capacity * sizeof *grown);
    if (grown == NULL)
      return false;
    event->segments = grown;
    event->segment_capacity = capacity;
  }
  event->segments[event->segment_count++] = segment;
  return true;
}

static tsh_mirror_event *report_of(flow *flow) {
  if (flow->report == NULL)
    flow->report = tsh_mirror__event_new(TSH_MIRROR_PROGRESS, flow->spec.id);
  return flow->report;
}

int tsh_mirror__add_segment(flow *flow, int64_t source, int64_t target,
                            int64_t count, tsh_err *err) {
  if (append(report_of(flow), (tsh_mirror_segment){source, target, count}))
    return 0;
  return tsh_err_set(err, TSH_NO_MEMORY, "mirror", 0,
                     "no memory for the offset map of %s", flow->spec.id);
}

static void set_positions(tsh_mirror_event *event, const flow *flow) {
  event->source_offset =
      flow->spec.same ? flow->acked_target : flow->acked_source;
  event->target_offset = flow->acked_target;
  event->sequence = flow->acked_sequence;
  event->source_epoch = flow->acked_epoch;
  event->source_end = flow->source_end;
  event->stable_offset = tsh_mirror__stable(flow);
}

/* Moves what `from` gathered behind what `to` holds; frees `from`. */
static void merge(tsh_mirror_event *to, tsh_mirror_event *from) {
  for (size_t i = 0; i < from->segment_count; i++)
    if (!append(to, from->segments[i]))
      abort(); /* it is acknowledged: losing it would be a lie */
  to->records += from->records;
  to->bytes += from->bytes;
  if (from->kind == TSH_MIRROR_PROGRESS) {
    to->source_offset = from->source_offset;
    to->target_offset = from->target_offset;
    to->sequence = from->sequence;
    to->source_epoch = from->source_epoch;
    to->source_end = from->source_end;
    to->stable_offset = from->stable_offset;
  }
  tsh_mirror_event_free(from);
}

/* With the lock held. */
static void push(shared *shared, tsh_mirror_event *event) {
  event->next = NULL;
  *shared->events_end = event;
  shared->events_end = &event->next;
  if (shared->rung != NULL)
    shared->rung(shared->user);
}

void tsh_mirror__post(tsh_mirror *mirror, tsh_mirror_event *event) {
  shared *shared = mirror->shared;
  pthread_mutex_lock(&shared->lock);
  push(shared, event);
  pthread_mutex_unlock(&shared->lock);
}

/* With the lock held. */
static void publish(flow *flow) {
  shared *shared = flow->mirror->shared;
  tsh_mirror_event *report = report_of(flow);
  flow->report = NULL;
  set_positions(report, flow);
  if (flow->published != NULL && flow->generation == shared->generation) {
    merge(flow->published, report);
    return;
  }
  flow->published = report;
  flow->generation = shared->generation;
  push(shared, report);
}

static void clean(flow *flow) {
  TAILQ_REMOVE(&flow->mirror->dirty, flow, telling);
  flow->dirty = false;
}

void tsh_mirror__publish(flow *flow) {
  if (!flow->dirty)
    return;
  clean(flow);
  pthread_mutex_lock(&flow->mirror->shared->lock);
  publish(flow);
  pthread_mutex_unlock(&flow->mirror->shared->lock);
}

static void publish_all(void *user) {
  tsh_mirror *mirror = user;
  tsh_mirror__progress_stop(mirror);
  pthread_mutex_lock(&mirror->shared->lock);
  flow *next;
  while ((next = TAILQ_FIRST(&mirror->dirty)) != NULL) {
    clean(next);
    publish(next);
  }
  pthread_mutex_unlock(&mirror->shared->lock);
}

void tsh_mirror__progress_stop(tsh_mirror *mirror) {
  if (mirror->progress != NULL)
    tsh_timer_stop(mirror->progress);
  mirror->progress = NULL;
}

void tsh_mirror__touch(flow *flow) {
  tsh_mirror *mirror = flow->mirror;
  if (!flow->dirty) {
    flow->dirty = true;
    TAILQ_INSERT_TAIL(&mirror->dirty, flow, telling);
  }
  if (mirror->progress == NULL)
    mirror->progress =
        tsh_timer_start(mirror->loop, mirror->progress_ms, publish_all, mirror);
}

/* Takes the flow's events out of the mailbox: progress goes into `stop`, a
 * hole is forgotten, an earlier stop becomes the answer itself. */
static tsh_mirror_event *gather(shared *shared, const char *id,
                                tsh_mirror_event *stop) {
  tsh_mirror_event **at = &shared->events, *progress = NULL;
  while (*at != NULL) {
    tsh_mirror_event *event = *at;
    if (event->answer || strcmp(event->id, id) != 0) {
      at = &event->next;
      continue;
    }
    *at = event->next;
    if (event->kind == TSH_MIRROR_PROGRESS && progress == NULL) {
      progress = event;
    } else if (event->kind == TSH_MIRROR_PROGRESS) {
      merge(progress, event);
    } else if (event->kind == TSH_MIRROR_STOPPED && stop == NULL) {
      stop = event;
    } else {
      tsh_mirror_event_free(event);
    }
  }
  shared->events_end = at;
  if (stop != NULL && progress != NULL) {
    stop->segments = progress->segments;
    stop->segment_count = progress->segment_count;
    stop->segment_capacity = progress->segment_capacity;
    stop->records = progress->records;
    stop->bytes = progress->bytes;
    progress->segments = NULL;
  }
  tsh_mirror_event_free(progress);
  return stop;
}

static tsh_mirror_event *not_found(const char *id) {
  tsh_mirror_event *stop = tsh_mirror__event_new(TSH_MIRROR_STOPPED, id);
  stop->reason = TSH_MIRROR_FAILED;
  tsh_err_set(&stop->err, TSH_NOT_FOUND, "mirror", 0, "no flow %s", id);
  return stop;
}

void tsh_mirror__tell_stop(flow *flow, tsh_mirror_event *stop) {
  shared *shared = flow->mirror->shared;
  tsh_mirror__publish(flow);
  set_positions(stop, flow);
  pthread_mutex_lock(&shared->lock);
  if (stop->answer)
    gather(shared, flow->spec.id, stop);
  push(shared, stop);
  pthread_mutex_unlock(&shared->lock);
}

/* What was gathered here may be of a younger flow with this id, which must
 * not add to it any more. */
void tsh_mirror__answer_unknown(tsh_mirror *mirror, const char *id) {
  shared *shared = mirror->shared;
  pthread_mutex_lock(&shared->lock);
  tsh_mirror_event *stop = gather(shared, id, NULL);
  if (stop == NULL)
    stop = not_found(id);
  stop->answer = true;
  shared->generation++;
  push(shared, stop);
  pthread_mutex_unlock(&shared->lock);
}

/* Splits the mailbox: answers stay, or only the wanted answer goes. */
static tsh_mirror_event *split(shared *shared, const char *answer_to) {
  tsh_mirror_event *taken = NULL, **taken_end = &taken;
  tsh_mirror_event **at = &shared->events;
  while (*at != NULL) {
    tsh_mirror_event *event = *at;
    bool wanted = answer_to == NULL
                      ? !event->answer
                      : event->answer && strcmp(event->id, answer_to) == 0;
    if (!wanted || (answer_to != NULL && taken != NULL)) {
      at = &event->next;
      continue;
    }
    *at = event->next;
    *taken_end = event;
    taken_end = &event->next;
  }
  shared->events_end = at;
  *taken_end = NULL;
  return taken;
}

tsh_mirror_event *tsh_mirror_take(tsh_mirror *mirror) {
  shared *shared = mirror->shared;
  pthread_mutex_lock(&shared->lock);
  tsh_mirror_event *taken = split(shared, NULL);
  shared->generation++;
  pthread_mutex_unlock(&shared->lock);
  return taken;
}

tsh_mirror_event *tsh_mirror_take_stopped(tsh_mirror *mirror, const char *id) {
  shared *shared = mirror->shared;
  pthread_mutex_lock(&shared->lock);
  tsh_mirror_event *taken = split(shared, id);
  pthread_mutex_unlock(&shared->lock);
  return taken;
}
