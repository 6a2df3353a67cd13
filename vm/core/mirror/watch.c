/* Flows that have been quiet for a while are watched in a fetch session
 * (KIP-227) on a lane of its own: the broker knows what they want and names
 * only those that have news, so ten thousand of them cost little more than
 * one. A flow with news leaves the session and is fetched as any other, until
 * it is quiet again. While the session's fetch waits at the broker, flows that
 * grow drowsy are fetched as before; the session's next request takes them in.
 */
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum {
  QUIET_MS = 1000,         /* without news, before a flow is watched */
  WAIT_MS = 2000,          /* of the session's fetch */
  WATCH_BYTES = 256 << 10, /* of a reply: the first news of a few */
  FIRST_TABLE = 64,
  SESSION_NOT_FOUND = 70, /* Kafka's codes: the session is to begin anew */
  SESSION_EPOCH = 71,
  INCONSISTENT_TOPIC_ID = 103,
  SESSION_TOPIC_ID = 106
};

/* --- members ---------------------------------------------------------------
 */

static bool by_id(const watch *watch) {
  return watch->lane.source->version >= 13;
}

static size_t place(const watch *watch, tsh_text topic, int32_t partition) {
  uint64_t h = 14695981039346656037u ^ (uint32_t)partition; /* FNV-1a */
  for (size_t i = 0; i < topic.size; i++)
    h = (h ^ (uint8_t)topic.data[i]) * 1099511628211u;
  return (size_t)(h ^ h >> 32) & (watch->table_size - 1);
}

/* What the topic is called on the wire. */
static tsh_text topic_of(const watch *watch, const flow *flow) {
  const tsh_mirror_flow *spec = &flow->spec;
  if (by_id(watch))
    return (tsh_text){(const char *)spec->topic_id, sizeof spec->topic_id};
  return (tsh_text){spec->source.topic, strlen(spec->source.topic)};
}

static bool is_called(const watch *watch, const flow *flow, tsh_text topic,
                      int32_t partition) {
  tsh_text own = topic_of(watch, flow);
  return flow->spec.source.partition == partition && own.size == topic.size &&
         memcmp(own.data, topic.data, own.size) == 0;
}

static flow *find(const watch *watch, tsh_text topic, int32_t partition) {
  if (watch->count == 0)
    return NULL;
  flow *at = watch->table[place(watch, topic, partition)];
  while (at != NULL && !is_called(watch, at, topic, partition))
    at = at->member_next;
  return at;
}

static flow **bucket_of(watch *watch, const flow *flow) {
  return &watch->table[place(watch, topic_of(watch, flow),
                             flow->spec.source.partition)];
}

static bool grow(watch *watch) {
  if (watch->count < watch->table_size)
    return true;
  size_t old_size = watch->table_size;
  size_t size = old_size == 0 ? FIRST_TABLE : 2 * old_size;
  flow **old = watch->table, **table = calloc(size, sizeof(flow *));
  if (table == NULL)
    return false;
  watch->table = table;
  watch->table_size = size;
  for (size_t i = 0; i < old_size; i++)
    while (old[i] != NULL) {
      flow *moved = old[i], **to = bucket_of(watch, moved);
      old[i] = moved->member_next;
      moved->member_next = *to;
      *to = moved;
    }
  free(old);
  return true;
}

static void tell(watch *watch, flow *flow) {
  if (flow->untold)
    return;
  flow->untold = true;
  TAILQ_INSERT_TAIL(&watch->untold, flow, watching);
  watch->untold_count++;
}

static void told(watch *watch, flow *flow) {
  if (!flow->untold)
    return;
  flow->untold = false;
  TAILQ_REMOVE(&watch->untold, flow, watching);
  watch->untold_count--;
}

/* --- what the session shall forget --- */

static void free_forgotten(watch *watch) {
  for (size_t i = 0; i < watch->forgotten_count; i++)
    free((char *)watch->forgotten[i].topic.data);
  watch->forgotten_count = 0;
}

/* The session begins anew: it knows nobody. */
static void start_over(watch *watch) {
  watch->session = watch->epoch = 0;
  free_forgotten(watch);
  for (size_t i = 0; i < watch->table_size; i++)
    for (flow *at = watch->table[i]; at != NULL; at = at->member_next)
      tell(watch, at);
}

/* Without memory to remember it, a new session is the way to forget. */
static void forget(watch *watch, const flow *flow) {
  if (watch->session == 0)
    return;
  if (watch->forgotten_count == watch->forgotten_capacity) {
    size_t capacity = 2 * watch->forgotten_capacity + 16;
    tsh_fetch_want *grown = realloc(watch->forgotten, capacity * sizeof *grown);
    if (grown == NULL) {
      start_over(watch);
      return;
    }
    watch->forgotten = grown;
    watch->forgotten_capacity = capacity;
  }
  char *name = strdup(flow->spec.source.topic);
  if (name == NULL) {
    start_over(watch);
    return;
  }
  tsh_fetch_want *gone = &watch->forgotten[watch->forgotten_count++];
  *gone = (tsh_fetch_want){.topic = {name, strlen(name)},
                           .partition = flow->spec.source.partition};
  memcpy(gone->topic_id, flow->spec.topic_id, sizeof gone->topic_id);
}

/* It is there again: a broker forgets last what a request names twice. */
static void remember(watch *watch, const flow *flow) {
  for (size_t i = 0; i < watch->forgotten_count; i++) {
    tsh_fetch_want *gone = &watch->forgotten[i];
    tsh_text topic = by_id(watch) ? (tsh_text){(const char *)gone->topic_id, 16}
                                  : gone->topic;
    if (!is_called(watch, flow, topic, gone->partition))
      continue;
    free((char *)gone->topic.data);
    *gone = watch->forgotten[--watch->forgotten_count];
    return;
  }
}

/* --- falling asleep and waking --- */

void tsh_mirror__drowse(flow *flow) {
  if (flow->wakefulness != AWAKE || !flow->caught_up || flow->stop != NULL ||
      tsh_loop_now(flow->mirror->loop) - flow->moved_ms < QUIET_MS)
    return;
  flow->wakefulness = DROWSY;
  TAILQ_INSERT_TAIL(&flow->source->watch.drowsy, flow, watching);
}

void tsh_mirror__wake(flow *flow) {
  watch *watch = &flow->source->watch;
  if (flow->wakefulness == DROWSY) {
    TAILQ_REMOVE(&watch->drowsy, flow, watching);
  } else if (flow->wakefulness == WATCHED) {
    struct flow **at = bucket_of(watch, flow);
    while (*at != flow)
      at = &(*at)->member_next;
    *at = flow->member_next;
    watch->count--;
    if (flow->untold)
      told(watch, flow);
    else
      forget(watch, flow);
  }
  flow->wakefulness = AWAKE;
}

/* A second flow of the same partition stays awake. */
static void take_in(watch *watch) {
  flow *next;
  while ((next = TAILQ_FIRST(&watch->drowsy)) != NULL) {
    tsh_mirror__wake(next);
    if (!grow(watch) ||
        find(watch, topic_of(watch, next), next->spec.source.partition) != NULL)
      continue;
    tsh_mirror__detach(next);
    flow **at = bucket_of(watch, next);
    next->member_next = *at;
    *at = next;
    next->wakefulness = WATCHED;
    watch->count++;
    remember(watch, next);
    tell(watch, next);
  }
}

/* --- asking ----------------------------------------------------------------
 */

static void replied(void *user, const tsh_reply *reply);

static int32_t wait_of(const tsh_mirror *mirror) {
  uint32_t third = mirror->timeout_ms / 3;
  return third < WAIT_MS ? (int32_t)third : WAIT_MS;
}

static int encode(watch *watch, tsh_err *err) {
  const source *source = watch->lane.source;
  tsh_fetch_session session = {watch->session, watch->epoch, watch->forgotten,
                               watch->forgotten_count};
  tsh_fetch_limits limits =
      tsh_mirror__limits(source, wait_of(source->mirror), watch->promised);
  limits.session = &session;
  size_t count = 0;
  tsh_fetch_want *wants = malloc((watch->untold_count + 1) * sizeof *wants);
  if (wants == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "mirror", 0, "out of memory");
  flow *at;
  TAILQ_FOREACH(at, &watch->untold, watching)
  wants[count++] = tsh_mirror__want_of(at);
  int status = tsh_fetch_encode(source->version, &limits, wants, count,
                                &watch->body, err);
  free(wants);
  return status;
}

static int send(watch *watch, tsh_err *err) {
  tsh_conn *conn = tsh_mirror__lane_conn(&watch->lane, err);
  if (conn == NULL)
    return err->kind;
  int status = encode(watch, err);
  if (status != 0)
    return status;
  tsh_request req = {.api_key = TSH_API_FETCH,
                     .version = watch->lane.source->version,
                     .parts = &watch->body,
                     .count = 1,
                     .replied = replied,
                     .user = watch};
  status = tsh_conn_send(conn, &req, err);
  if (status != 0)
    return status;
  free_forgotten(watch);
  while (!TAILQ_EMPTY(&watch->untold))
    told(watch, TAILQ_FIRST(&watch->untold));
  return 0;
}

static void end_request(watch *watch) {
  watch->lane.busy = false;
  tsh_mirror__take_back(watch->lane.source->mirror, watch->promised, TO_WATCH);
  free(watch->body.iov_base);
  watch->body = (struct iovec){NULL, 0};
}

/* Their leader does not answer. */
static void end_all(watch *watch, const tsh_err *err) {
  start_over(watch);
  for (size_t i = 0; i < watch->table_size; i++)
    while (watch->table[i] != NULL) {
      flow *ended = watch->table[i];
      tsh_mirror__wake(ended);
      tsh_mirror__end(ended, TSH_MIRROR_LEADER, false, err);
      tsh_mirror__settle(ended);
    }
}

void tsh_mirror__pump_watch(source *source) {
  watch *watch = &source->watch;
  if (watch->lane.busy || (watch->count == 0 && TAILQ_EMPTY(&watch->drowsy)))
    return;
  watch->promised = tsh_mirror__promise(source->mirror, WATCH_BYTES, TO_WATCH);
  if (watch->promised == 0)
    return;
  take_in(watch);
  watch->lane.busy = true;
  tsh_err err = {0};
  if (send(watch, &err) != 0) {
    end_request(watch);
    end_all(watch, &err);
  }
}

/* --- answers ---------------------------------------------------------------
 */

static void serve(watch *watch, chunk *chunk, tsh_fetched *fetched) {
  tsh_text topic = by_id(watch)
                       ? (tsh_text){(const char *)fetched->topic_id, 16}
                       : fetched->topic;
  flow *flow = find(watch, topic, fetched->partition);
  if (flow == NULL)
    return; /* it left while the fetch was under way */
  if (fetched->error == 0 && fetched->diverging_epoch < 0 &&
      fetched->records_size == 0 && fetched->last_stable <= flow->position)
    return;
  tsh_mirror__wake(flow);
  tsh_mirror__serve(flow, &watch->lane, chunk, fetched, false);
}

static bool is_over(int16_t error) {
  return error == SESSION_NOT_FOUND || error == SESSION_EPOCH ||
         error == INCONSISTENT_TOPIC_ID || error == SESSION_TOPIC_ID;
}

static int serve_all(watch *watch, chunk *chunk, const tsh_reply *reply,
                     tsh_err *err) {
  int16_t error;
  tsh_fetch_iter iter;
  tsh_fetched fetched;
  int status = tsh_fetch_open(&iter, watch->lane.source->version, reply->data,
                              reply->size, &error, err);
  if (status != 0)
    return status;
  if (error != 0 && !is_over(error))
    return tsh_mirror__fetch_error(error, err);
  if (error != 0 || iter.session == 0) {
    start_over(watch);
  } else {
    watch->session = iter.session;
    watch->epoch = watch->epoch == INT32_MAX ? 1 : watch->epoch + 1;
  }
  while (error == 0 && (status = tsh_fetch_next(&iter, &fetched, err)) == 1)
    serve(watch, chunk, &fetched);
  return status;
}

static void replied(void *user, const tsh_reply *reply) {
  watch *watch = user;
  tsh_mirror *mirror = watch->lane.source->mirror;
  tsh_err err = {0};
  int status = reply->status;
  if (status == 0) {
    tsh_mirror__fetched(mirror, reply->size);
    chunk *chunk = tsh_mirror__chunk_new(mirror, reply->body, reply->size);
    status = chunk == NULL ? tsh_err_set(&err, TSH_NO_MEMORY, "mirror", 0,
                                         "no memory for a reply")
                           : serve_all(watch, chunk, reply, &err);
    if (chunk != NULL)
      tsh_mirror__chunk_release(chunk);
  } else {
    err = *reply->err;
  }
  end_request(watch);
  if (status != 0)
    end_all(watch, &err);
  tsh_mirror__pump_senders(mirror);
  tsh_mirror__pump_sources(mirror);
}

/* --- life ------------------------------------------------------------------
 */

void tsh_mirror__watch_init(source *source) {
  source->watch.lane.source = source;
  TAILQ_INIT(&source->watch.drowsy);
  TAILQ_INIT(&source->watch.untold);
}

void tsh_mirror__watch_fini(source *source) {
  free_forgotten(&source->watch);
  free(source->watch.forgotten);
  free(source->watch.table);
}
