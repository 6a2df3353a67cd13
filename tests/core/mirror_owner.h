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

static inline void owner_open(owner *o, size_t memory, int64_t rate) {
  *o = (owner){0};
  pthread_mutex_init(&o->lock, NULL);
  pthread_cond_init(&o->rung, NULL);
  tsh_mirror_options options = {.memory = memory,
                                .rate = rate,
                                .workers = 3,
                                .progress_ms = 1,
                                .timeout_ms = 10000,
                                .rung = ring,
                                .user = o};
  assert_int_equal(tsh_mirror_open(&o->mirror, &options, NULL), 0);
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

#endif
