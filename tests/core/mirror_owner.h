/* The owner of a copier in a test, over the world of mirror_world.h. */
#ifndef MIRROR_OWNER_H
#define MIRROR_OWNER_H

#include "mirror_world.h"

#include "tranship/mirror.h"

typedef struct owner {
  tsh_mirror *mirror;
  pthread_mutex_t lock;
  pthread_cond_t rung;
  bool waiting;
} owner;

static inline void ring(void *user) {
  owner *o = user;
  pthread_mutex_lock(&o->lock);
  o->waiting = true;
  pthread_cond_signal(&o->rung);
  pthread_mutex_unlock(&o->lock);
}

static inline void owner_open_with(owner *o, size_t memory, int64_t rate,
                                   uint32_t timeout_ms) {
  *o = (owner){0};
  pthread_mutex_init(&o->lock, NULL);
  pthread_cond_init(&o->rung, NULL);
  tsh_mirror_options options = {.memory = memory,
                                .rate = rate,
                                .workers = 3,
                                .progress_ms = 1,
                                .timeout_ms = timeout_ms,
                                .rung = ring,
                                .user = o};
  assert_int_equal(tsh_mirror_open(&o->mirror, &options, NULL), 0);
}

static inline void owner_open(owner *o, size_t memory, int64_t rate) {
  owner_open_with(o, memory, rate, 10000);
}

static inline void owner_close(owner *o) {
  tsh_mirror_close(o->mirror);
  pthread_cond_destroy(&o->rung);
  pthread_mutex_destroy(&o->lock);
}

static inline void owner_wait(owner *o) {
  pthread_mutex_lock(&o->lock);
  while (!o->waiting)
    pthread_cond_wait(&o->rung, &o->lock);
  o->waiting = false;
  pthread_mutex_unlock(&o->lock);
}

static inline tsh_mirror_flow flow_of(world *w, const char *id, int partition) {
  return (tsh_mirror_flow){
      .id = id,
      .source = {"127.0.0.1", w->source.port, "t", partition},
      .target = {"127.0.0.1", w->target.port, "t", partition},
      .leader_epoch = -1,
      .last_epoch = -1,
      .until_offset = -1,
      .producer_id = 4000 + partition,
      .producer_epoch = 1,
  };
}

/* The flow's next event of a kind; what came before it is dropped. */
static inline tsh_mirror_event *next_event(owner *o, tsh_mirror_kind kind) {
  for (;;) {
    tsh_mirror_event *event = tsh_mirror_take(o->mirror), *found = NULL;
    while (event != NULL) {
      tsh_mirror_event *next = event->next;
      if (event->kind == kind && found == NULL)
        found = event;
      else
        tsh_mirror_event_free(event);
      event = next;
    }
    if (found != NULL)
      return found;
    owner_wait(o);
  }
}

static inline tsh_mirror_event *next_stop(owner *o) {
  return next_event(o, TSH_MIRROR_STOPPED);
}

/* The next one that is not progress. */
static inline tsh_mirror_event *next_news(owner *o) {
  tsh_mirror_event *event = NULL;
  while (event == NULL || event->kind == TSH_MIRROR_PROGRESS) {
    tsh_mirror_event *next = event != NULL ? event->next : NULL;
    tsh_mirror_event_free(event);
    while (next == NULL && (next = tsh_mirror_take(o->mirror)) == NULL)
      owner_wait(o);
    event = next;
  }
  for (tsh_mirror_event *rest = event->next; rest != NULL;) {
    tsh_mirror_event *next = rest->next;
    tsh_mirror_event_free(rest);
    rest = next;
  }
  return event;
}

/* A copier and one flow. */
typedef struct small {
  world *world;
  owner owner;
  tsh_mirror_flow flow;
} small;

static inline void small_open_empty(small *s) {
  s->world = world_new();
  owner_open(&s->owner, 0, 0);
  s->flow = flow_of(s->world, "0", 0);
}

/* Ten batches of ten records. */
static inline void small_open(small *s) {
  small_open_empty(s);
  for (int i = 0; i < 10; i++)
    log_append(&s->world->source.logs[0],
               make_batch(i * 10, 10, TSH_CODEC_NONE));
}

static inline tsh_mirror_event *small_stop(small *s) {
  assert_int_equal(tsh_mirror_start(s->owner.mirror, &s->flow, NULL), 0);
  return next_stop(&s->owner);
}

static inline void small_close(small *s) {
  owner_close(&s->owner);
  world_free(s->world);
}

#endif
