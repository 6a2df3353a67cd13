/* The Fetch side: which flows are asked for when, and on which connection.
 *
 * A broker serves a connection one request at a time, and a fetch that waits
 * for data holds all behind it. So flows that are known to be behind share
 * lanes on which nothing waits, and flows that have caught up wait together
 * on lanes of their own. The last of those waits only briefly, so that a flow
 * which has just caught up never stands in line behind a long wait. A flow is
 * in one fetch at most; its next one leaves while its batches are written. */
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum {
  LONG_WAIT = 500, /* ms: nothing to do */
  SHORT_WAIT = 20, /* ms: others are standing in line */
  /* Of one flow in one reply: the largest batch of a broker's own settings,
   * and what a copy of a few partitions holds in memory. */
  PARTITION_BYTES = (1 << 20) + (64 << 10),
  BEHIND_BYTES = 8 << 20, /* of a reply */
  IDLE_BYTES = 1 << 20,
  LEAST_BYTES = 64 << 10,
  BEHIND_FLOWS = 16,    /* in one fetch: some four will get data */
  QUEUE_BYTES = 1 << 20 /* a flow with more on its way is not fetched */
};

typedef struct fetch {
  lane *lane;
  struct iovec body;
  size_t promised; /* bytes of the memory budget */
  promise to;      /* what they are promised to */
  size_t count;
  flow *flows[]; /* NULL where one has gone meanwhile */
} fetch;

/* --- lists --- */

static struct flow_list *list_of(flow *flow) {
  return flow->caught_up ? &flow->source->idle : &flow->source->behind;
}

static void unlist(flow *flow) {
  TAILQ_REMOVE(list_of(flow), flow, fetching);
  flow->listed = false;
}

void tsh_mirror__detach(flow *flow) {
  if (flow->listed)
    unlist(flow);
  if (flow->slot != NULL)
    *flow->slot = NULL;
  flow->slot = NULL;
}

void tsh_mirror__no_fetch(flow *flow) {
  tsh_mirror__detach(flow);
  tsh_mirror__wake(flow);
}

/* --- asking --- */

void tsh_mirror__want_fetch(flow *flow, bool at_once) {
  if (flow->listed || flow->slot != NULL || flow->stop != NULL ||
      flow->wakefulness == WATCHED || flow->held >= QUEUE_BYTES)
    return;
  flow->listed = true;
  if (at_once)
    TAILQ_INSERT_HEAD(list_of(flow), flow, fetching);
  else
    TAILQ_INSERT_TAIL(list_of(flow), flow, fetching);
}

/* Bytes of the worker's own that come back in time to ask again. Those of a
 * fetch that waits come back too late for one that need not; and the watch,
 * which asks again at once, would have them back before any other. */
static size_t coming_back(const tsh_mirror *mirror, promise to) {
  const size_t *promised = mirror->promised;
  switch (to) {
    case TO_BEHIND:
      return mirror->held - promised[TO_IDLE] - promised[TO_WATCH];
    case TO_IDLE:
      return mirror->held - promised[TO_WATCH];
    default:
      return 0;
  }
}

/* A share of the budget, the least one where there is none; or 0 while bytes
 * of our own are to come back. */
size_t tsh_mirror__promise(tsh_mirror *mirror, size_t wanted, promise to) {
  size_t allowed = tsh_mirror__allowed(mirror);
  if (allowed == 0)
    return 0;
  if (wanted > allowed)
    wanted = allowed;
  size_t memory = mirror->shared->memory;
  size_t held = atomic_load(&mirror->shared->held);
  size_t left = memory > held ? memory - held : 0;
  if (left < wanted && left < LEAST_BYTES && coming_back(mirror, to) > 0)
    return 0;
  size_t promised = wanted <= left ? wanted : left;
  if (promised < LEAST_BYTES)
    promised = LEAST_BYTES;
  tsh_mirror__hold(mirror, promised);
  mirror->promised[to] += promised;
  return promised;
}

void tsh_mirror__take_back(tsh_mirror *mirror, size_t promised, promise to) {
  tsh_mirror__give_back(mirror, promised);
  mirror->promised[to] -= promised;
}

tsh_fetch_want tsh_mirror__want_of(const flow *flow) {
  tsh_fetch_want want = {
      .topic = {flow->spec.source.topic, strlen(flow->spec.source.topic)},
      .partition = flow->spec.source.partition,
      .leader_epoch = flow->spec.leader_epoch,
      .last_epoch = flow->epoch_read,
      .offset = flow->position,
      .max_bytes = PARTITION_BYTES,
  };
  memcpy(want.topic_id, flow->spec.topic_id, sizeof want.topic_id);
  return want;
}

tsh_fetch_limits tsh_mirror__limits(const source *source, int32_t wait_ms,
                                    size_t bytes) {
  return (tsh_fetch_limits){.max_wait_ms = wait_ms,
                            .min_bytes = 1,
                            .max_bytes = (int32_t)bytes,
                            .committed = source->committed};
}

static void replied(void *user, const tsh_reply *reply);

static int encode(fetch *asked, int32_t wait_ms, tsh_err *err) {
  tsh_fetch_limits limits =
      tsh_mirror__limits(asked->lane->source, wait_ms, asked->promised);
  tsh_fetch_want *wants = malloc(asked->count * sizeof *wants);
  if (wants == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "mirror", 0, "out of memory");
  for (size_t i = 0; i < asked->count; i++)
    wants[i] = tsh_mirror__want_of(asked->flows[i]);
  int status = tsh_fetch_encode(asked->lane->source->version, &limits, wants,
                                asked->count, &asked->body, err);
  free(wants);
  return status;
}

static int send(fetch *asked, int32_t wait_ms, tsh_err *err) {
  tsh_conn *conn = tsh_mirror__lane_conn(asked->lane, err);
  if (conn == NULL)
    return err->kind;
  int status = encode(asked, wait_ms, err);
  if (status != 0)
    return status;
  tsh_request req = {.api_key = TSH_API_FETCH,
                     .version = asked->lane->source->version,
                     .parts = &asked->body,
                     .count = 1,
                     .replied = replied,
                     .user = asked};
  return tsh_conn_send(conn, &req, err);
}

static void forget(fetch *asked) {
  asked->lane->busy = false;
  tsh_mirror__take_back(asked->lane->source->mirror, asked->promised,
                        asked->to);
  free(asked->body.iov_base);
  free(asked);
}

/* All flows of the fetch end: their leader does not answer. */
static void fail(fetch *asked, const tsh_err *err) {
  for (size_t i = 0; i < asked->count; i++) {
    flow *flow = asked->flows[i];
    if (flow == NULL)
      continue;
    flow->slot = NULL;
    tsh_mirror__end(flow, TSH_MIRROR_LEADER, false, err);
    tsh_mirror__settle(flow);
  }
  forget(asked);
}

/* False when there is no memory for it now, or the rate is used up. */
static bool start(lane *lane, struct flow_list *list, size_t most, size_t bytes,
                  int32_t wait_ms) {
  tsh_mirror *mirror = lane->source->mirror;
  size_t count = 0;
  flow *at;
  TAILQ_FOREACH(at, list, fetching)
  if (count++ == most)
    break;
  count = count > most ? most : count;
  promise to = wait_ms > 0 ? TO_IDLE : TO_BEHIND;
  size_t promised = tsh_mirror__promise(mirror, bytes, to);
  if (promised == 0)
    return false;
  fetch *asked = calloc(1, sizeof *asked + count * sizeof(flow *));
  if (asked == NULL) {
    tsh_mirror__take_back(mirror, promised, to);
    return false;
  }
  asked->lane = lane;
  asked->promised = promised;
  asked->to = to;
  asked->count = count;
  for (size_t i = 0; i < count; i++) {
    asked->flows[i] = TAILQ_FIRST(list);
    asked->flows[i]->slot = &asked->flows[i];
    unlist(asked->flows[i]);
  }
  lane->busy = true;
  tsh_err err = {0};
  if (send(asked, wait_ms, &err) != 0)
    fail(asked, &err);
  return true;
}

static size_t free_lanes(source *source, int from, int to, lane **first) {
  size_t count = 0;
  for (int i = to - 1; i >= from; i--)
    if (!source->lanes[i].busy) {
      *first = &source->lanes[i];
      count++;
    }
  return count;
}

void tsh_mirror__pump_source(source *source) {
  lane *lane = NULL;
  if (source->mirror->closing)
    return;
  tsh_mirror__pump_watch(source);
  while (!TAILQ_EMPTY(&source->behind) &&
         free_lanes(source, 0, BEHIND_LANES, &lane) > 0)
    if (!start(lane, &source->behind, BEHIND_FLOWS, BEHIND_BYTES, 0))
      return;
  size_t idle;
  while (!TAILQ_EMPTY(&source->idle) &&
         (idle = free_lanes(source, BEHIND_LANES, LANES, &lane)) > 0)
    if (!start(lane, &source->idle, SIZE_MAX, IDLE_BYTES,
               idle > 1 ? LONG_WAIT : SHORT_WAIT))
      return;
}

void tsh_mirror__pump_sources(tsh_mirror *mirror) {
  for (source *at = mirror->sources; at != NULL; at = at->next)
    tsh_mirror__pump_source(at);
}

/* --- answers --- */

static bool is_of(const flow *flow, const tsh_fetched *fetched,
                  int16_t version) {
  const tsh_mirror_flow *spec = &flow->spec;
  if (fetched->partition != spec->source.partition)
    return false;
  if (version >= 13)
    return memcmp(fetched->topic_id, spec->topic_id, 16) == 0;
  return strlen(spec->source.topic) == fetched->topic.size &&
         memcmp(spec->source.topic, fetched->topic.data, fetched->topic.size) ==
             0;
}

/* Replies keep the request's order but for errors, so looking on from the
 * last place finds the next at once. */
static size_t place_of(const fetch *asked, const tsh_fetched *fetched,
                       size_t hint) {
  int16_t version = asked->lane->source->version;
  for (size_t i = 0; i < asked->count; i++) {
    size_t at = (hint + i) % asked->count;
    if (asked->flows[at] != NULL && is_of(asked->flows[at], fetched, version))
      return at;
  }
  return asked->count;
}

static void end_by_code(flow *flow, const tsh_fetched *fetched, lane *lane) {
  tsh_err err;
  bool retriable = false;
  tsh_kind kind = tsh_kafka_error_kind(fetched->error, &retriable);
  const char *name = tsh_kafka_error_name(fetched->error);
  tsh_err_set(&err, kind, "kafka", fetched->error, "fetching %s/%d at %lld: %s",
              flow->spec.source.topic, (int)flow->spec.source.partition,
              (long long)flow->position, name != NULL ? name : "unknown error");
  err.retriable = retriable;
  tsh_mirror_reason reason = tsh_mirror__reason_of(fetched->error);
  if (tsh_mirror__end(flow, reason, true, &err) != NULL &&
      reason == TSH_MIRROR_OUT_OF_RANGE)
    tsh_mirror__ask_bounds(flow, lane->conn);
}

static void end_diverged(flow *flow, const tsh_fetched *fetched) {
  tsh_mirror_event *stop =
      tsh_mirror__end(flow, TSH_MIRROR_DIVERGED, true, NULL);
  if (stop == NULL)
    return;
  stop->diverging_epoch = fetched->diverging_epoch;
  stop->log_end = fetched->diverging_end;
}

void tsh_mirror__serve(flow *flow, lane *lane, chunk *chunk,
                       tsh_fetched *fetched, bool first) {
  int64_t before = flow->position;
  if (flow->stop != NULL)
    return; /* settles when its requests are answered */
  if (fetched->error != 0)
    end_by_code(flow, fetched, lane);
  else if (fetched->diverging_epoch >= 0)
    end_diverged(flow, fetched);
  else
    tsh_mirror__intake(flow, chunk, fetched, first);
  if (flow->position == before) {
    tsh_mirror__drowse(flow);
  } else {
    flow->moved_ms = tsh_loop_now(flow->mirror->loop);
    tsh_mirror__wake(flow);
  }
  tsh_mirror__want_send(flow);
  if (!tsh_mirror__settle(flow))
    tsh_mirror__want_fetch(flow, flow->position == before);
}

static void serve(fetch *asked, size_t place, chunk *chunk,
                  tsh_fetched *fetched) {
  flow *flow = asked->flows[place];
  asked->flows[place] = NULL;
  flow->slot = NULL;
  tsh_mirror__serve(flow, asked->lane, chunk, fetched, place == 0);
}

int tsh_mirror__fetch_error(int16_t error, tsh_err *err) {
  const char *name = tsh_kafka_error_name(error);
  return tsh_err_set(err, tsh_kafka_error_kind(error, NULL), "kafka", error,
                     "fetch: %s", name != NULL ? name : "unknown error");
}

static int serve_all(fetch *asked, chunk *chunk, const tsh_reply *reply,
                     tsh_err *err) {
  int16_t version = asked->lane->source->version, error;
  tsh_fetch_iter iter;
  tsh_fetched fetched;
  int status =
      tsh_fetch_open(&iter, version, reply->data, reply->size, &error, err);
  if (status != 0)
    return status;
  if (error != 0)
    return tsh_mirror__fetch_error(error, err);
  size_t place = 0;
  while ((status = tsh_fetch_next(&iter, &fetched, err)) == 1) {
    size_t at = place_of(asked, &fetched, place);
    if (at < asked->count)
      serve(asked, at, chunk, &fetched);
    place = at + 1;
  }
  return status;
}

/* Flows that the reply does not name are asked for again. */
static void replied(void *user, const tsh_reply *reply) {
  fetch *asked = user;
  source *source = asked->lane->source;
  tsh_mirror *mirror = source->mirror;
  if (reply->status != 0) {
    fail(asked, reply->err);
    tsh_mirror__pump_source(source);
    return;
  }
  tsh_mirror__fetched(mirror, reply->size);
  tsh_err err = {0};
  chunk *chunk = tsh_mirror__chunk_new(mirror, reply->body, reply->size);
  int status = chunk == NULL ? tsh_err_set(&err, TSH_NO_MEMORY, "mirror", 0,
                                           "no memory for a reply")
                             : serve_all(asked, chunk, reply, &err);
  if (chunk != NULL)
    tsh_mirror__chunk_release(chunk);
  if (status != 0) {
    fail(asked, &err);
  } else {
    for (size_t i = 0; i < asked->count; i++)
      if (asked->flows[i] != NULL) {
        asked->flows[i]->slot = NULL;
        tsh_mirror__want_fetch(asked->flows[i], false);
      }
    forget(asked);
  }
  tsh_mirror__pump_senders(mirror);
  tsh_mirror__pump_sources(mirror);
}
