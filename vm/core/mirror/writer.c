/* The Produce side: what is queued leaves in requests of several partitions,
 * one batch of each, and lands in the order and at the place it was meant to.
 *
 * A flow keeps to one connection, so its batches arrive in sequence. While
 * all requests of a connection are in flight, what comes meanwhile gathers
 * and leaves together in the next: the busier, the fewer requests. */
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum {
  PRODUCE_VERSION = 8,    /* the first that says in words what is wrong */
  MOST_ITEMS = 256,       /* batches in a request */
  CORRUPT_MESSAGE = 2,    /* Kafka's code */
  REQUEST_BYTES = 4 << 20 /* of batches, about */
};

typedef struct sent {
  flow *flow;
  entry *entry;
} sent;

typedef struct produce {
  sender *sender;
  tsh_gather gather;
  size_t count;
  sent items[MOST_ITEMS];
} produce;

/* --- holes --- */

/* All before it has landed. The epoch is the one behind the hole: once it is
 * filled, copying may go on from its end, where an older one ended before. */
static void tell_hole(flow *flow) {
  tsh_mirror_event *hole =
      tsh_mirror__event_new(TSH_MIRROR_HOLE, flow->spec.id);
  hole->from = flow->head->target;
  hole->to = flow->head->source_next;
  hole->source_offset = hole->target_offset = flow->acked_target;
  hole->sequence = flow->acked_sequence;
  hole->source_epoch = flow->head->epoch;
  hole->source_end = flow->source_end;
  hole->stable_offset = tsh_mirror__stable(flow);
  flow->in_hole = true;
  tsh_mirror__publish(flow);
  tsh_mirror__post(flow->mirror, hole);
}

void tsh_mirror__go_on(flow *flow, int64_t target_offset, int32_t epoch,
                       int32_t sequence) {
  if (!flow->in_hole)
    return;
  entry *hole = flow->head;
  flow->in_hole = false;
  if (target_offset != hole->source_next) {
    tsh_mirror_event *stop =
        tsh_mirror__give_up(flow, TSH_MIRROR_FOREIGN, NULL);
    stop->expected = hole->source_next;
    stop->got = target_offset;
    tsh_mirror__settle(flow);
    return;
  }
  flow->head = hole->next;
  if (flow->head == NULL)
    flow->tail = NULL;
  flow->acked_source = flow->acked_target = target_offset;
  flow->acked_epoch = hole->epoch;
  if (epoch >= 0)
    flow->producer_epoch = (int16_t)epoch;
  if (sequence >= 0)
    flow->sequence = flow->acked_sequence = sequence;
  tsh_mirror__entry_free(flow, hole);
  tsh_mirror__touch(flow);
  tsh_mirror__want_send(flow);
  if (!tsh_mirror__settle(flow))
    tsh_mirror__want_fetch(flow, false);
}

/* --- sending --- */

static void unready(flow *flow) {
  TAILQ_REMOVE(&flow->sender->ready, flow, sending);
  flow->ready = false;
}

void tsh_mirror__no_send(flow *flow) {
  if (flow->ready)
    unready(flow);
}

/* A broker takes any first sequence of a producer it does not know: were the
 * first batch refused and the second not, the second would land in its place.
 * So nothing follows the first one until it has landed. */
static int most_in_flight(const flow *flow) {
  bool known = flow->head->txn != NULL ? flow->head->txn->known : flow->known;
  return known ? IN_FLIGHT : 1;
}

/* Nor does one producer's batch follow another's before that has landed: no
 * sequence says that they belong together. */
static bool may_follow(const flow *flow) {
  const txn *txn = flow->head->txn;
  if (flow->in_flight > 0 && (txn != flow->sending_as || flow->ending != NULL))
    return false;
  return flow->in_flight < most_in_flight(flow) && (txn == NULL || txn->begun);
}

void tsh_mirror__want_send(flow *flow) {
  if (flow->ready || flow->head == NULL || flow->in_hole ||
      (flow->stop != NULL && !flow->drain))
    return;
  if (flow->head->bytes == NULL) {
    if (flow->in_flight == 0 && flow->head->txn != NULL)
      tsh_mirror__send_ends(flow);
    else if (flow->in_flight == 0)
      tell_hole(flow);
    return;
  }
  if (!may_follow(flow))
    return;
  TAILQ_INSERT_TAIL(&flow->sender->ready, flow, sending);
  flow->ready = true;
}

/* The batch, or its one record of that index. */
static void name_refused(flow *flow, const entry *entry, int32_t record) {
  tsh_mirror_refused *refused = &flow->stop->refused;
  *refused =
      (tsh_mirror_refused){entry->first.source, entry->count, entry->size};
  if (record < 0 || record >= entry->count)
    return;
  const run *at = entry->runs != NULL ? entry->runs : &entry->first;
  int64_t left = record;
  for (; left >= at->count; at++)
    left -= at->count;
  refused->offset = at->source + left;
  refused->records = 1;
}

static int too_large(flow *flow, const entry *next) {
  tsh_err err;
  tsh_err_set(&err, TSH_LIMIT, "mirror", 0,
              "a batch of %zu bytes with source offset %lld is larger than "
              "the %zu that %s takes",
              next->size, (long long)next->first.source,
              flow->spec.max_batch_bytes, flow->spec.target.topic);
  if (tsh_mirror__give_up(flow, TSH_MIRROR_TOO_LARGE, &err) != NULL)
    name_refused(flow, next, -1);
  return TSH_LIMIT;
}

/* Makes the flow's next batch ours. */
static int prepare(flow *flow, const entry *next) {
  tsh_stamp stamp = {-1, -1, -1, false};
  const txn *txn = next->txn;
  tsh_err err;
  /* A record that fills a batch alone is the broker's to refuse. */
  size_t most = flow->spec.max_batch_bytes;
  if (most > 0 && next->size > most && next->count > 1)
    return too_large(flow, next);
  if (txn != NULL)
    stamp = (tsh_stamp){txn->id, txn->epoch, txn->sequence, true};
  else if (flow->spec.producer_id >= 0)
    stamp = (tsh_stamp){flow->spec.producer_id, flow->producer_epoch,
                        flow->sequence, false};
  /* What we built holds, and the broker checks what we forward: its CRC fits
   * the new header as it fitted the old one. */
  return tsh_batch_stamp(next->bytes, next->size, &stamp, false, &err);
}

static void take(produce *request, flow *flow) {
  entry *next = flow->head;
  flow->head = next->next;
  if (flow->head == NULL)
    flow->tail = NULL;
  flow->in_flight++;
  flow->sending_as = next->txn;
  int32_t *sequence =
      next->txn != NULL ? &next->txn->sequence : &flow->sequence;
  *sequence = tsh_mirror__sequence_after(*sequence, next->count);
  if (next->txn != NULL)
    next->txn->waiting--;
  request->items[request->count++] = (sent){flow, next};
}

/* One batch of each flow that stands ready, as they fit. A request belongs to
 * one transaction, and so to one flow, or to none. */
static void fill(produce *request, sender *sender) {
  size_t bytes = 0;
  flow *flow;
  while (request->count < MOST_ITEMS && bytes < REQUEST_BYTES &&
         (flow = TAILQ_FIRST(&sender->ready)) != NULL) {
    if (flow->head->txn != NULL && request->count > 0)
      return;
    unready(flow);
    tsh_mirror__merge(flow);
    if (prepare(flow, flow->head) != 0) {
      tsh_mirror__settle(flow);
      continue;
    }
    bytes += flow->head->size;
    take(request, flow);
    if (flow->sending_as != NULL)
      return;
  }
}

static void replied(void *user, const tsh_reply *reply);

static int send(produce *request, tsh_err *err) {
  tsh_conn *conn = tsh_mirror__sender_conn(request->sender, err);
  tsh_produce_item items[MOST_ITEMS];
  if (conn == NULL)
    return err->kind;
  for (size_t i = 0; i < request->count; i++) {
    const tsh_mirror_side *to = &request->items[i].flow->spec.target;
    const entry *entry = request->items[i].entry;
    items[i] = (tsh_produce_item){
        .topic = {to->topic, strlen(to->topic)},
        .partition = to->partition,
        .body = {entry->bytes, entry->size},
    };
  }
  uint32_t timeout_ms = request->sender->target->mirror->timeout_ms;
  const txn *txn = request->items[0].entry->txn;
  int status = tsh_produce_encode(
      PRODUCE_VERSION, txn != NULL ? txn->name : NULL, (int32_t)timeout_ms,
      items, request->count, &request->gather, err);
  if (status != 0)
    return status;
  tsh_request req = {.api_key = TSH_API_PRODUCE,
                     .version = PRODUCE_VERSION,
                     .parts = request->gather.parts,
                     .count = request->gather.count,
                     .replied = replied,
                     .user = request};
  return tsh_conn_send(conn, &req, err);
}

static void forget(produce *request) {
  tsh_gather_free(&request->gather);
  free(request);
}

/* --- answers --- */

static void refuse(flow *flow, tsh_mirror_reason reason, const tsh_err *why) {
  tsh_mirror__give_up(flow, reason, why);
  flow->broken = true;
}

/* Worse than any refusal before it: what lies there is not what belongs. */
static void landed_elsewhere(flow *flow, const entry *entry, int64_t base) {
  if (flow->stop != NULL && flow->stop->reason == TSH_MIRROR_FOREIGN)
    return;
  flow->broken = false;
  tsh_mirror_event *stop = tsh_mirror__give_up(flow, TSH_MIRROR_FOREIGN, NULL);
  stop->expected = entry->target;
  stop->got = base;
  flow->broken = true;
}

static int add_segments(flow *flow, const entry *entry, tsh_err *err) {
  const run *runs = entry->runs != NULL ? entry->runs : &entry->first;
  size_t count = entry->runs != NULL ? entry->run_count : 1;
  int64_t target = entry->target;
  for (size_t i = 0; i < count; i++) {
    int status = tsh_mirror__add_segment(flow, runs[i].source, target,
                                         runs[i].count, err);
    if (status != 0)
      return status;
    target += runs[i].count;
  }
  return 0;
}

/* The broker knows the producer of the batch. */
static void note_landed(flow *flow, const entry *entry) {
  txn *txn = entry->txn;
  if (txn == NULL) {
    flow->known = true;
    flow->acked_sequence =
        tsh_mirror__sequence_after(flow->acked_sequence, entry->count);
    return;
  }
  txn->known = true;
  if (txn->since < 0)
    txn->since = entry->target;
}

static void landed(flow *flow, const entry *entry, int64_t base) {
  tsh_err err;
  if (base != entry->target) {
    landed_elsewhere(flow, entry, base);
    return;
  }
  if (flow->broken)
    return; /* a hole in what was acknowledged: found again by walking */
  if (add_segments(flow, entry, &err) != 0) {
    refuse(flow, TSH_MIRROR_FAILED, &err);
    return;
  }
  note_landed(flow, entry);
  flow->acked_source = entry->source_next;
  flow->acked_target = base + entry->count;
  flow->acked_epoch = entry->epoch;
  flow->report->records += entry->count;
  flow->report->bytes += (int64_t)entry->size;
  tsh_mirror__touch(flow);
}

/* The source's batch was broken when it came. */
static bool came_broken(const entry *entry, tsh_err *err) {
  tsh_batch batch;
  if (tsh_batch_read(&batch, entry->bytes, entry->size, err) != 1 ||
      tsh_batch_check(&batch, err) == 0)
    return false;
  tsh_err_set(err, TSH_PROTOCOL, "batch", CORRUPT_MESSAGE,
              "the source's batch at offset %lld does not match its CRC",
              (long long)entry->first.source);
  return true;
}

static void refused(flow *flow, const entry *entry,
                    const tsh_produced *produced) {
  tsh_err err;
  bool retriable = false;
  if (produced->error == CORRUPT_MESSAGE && came_broken(entry, &err)) {
    refuse(flow, TSH_MIRROR_CORRUPT, &err);
    return;
  }
  tsh_kind kind = tsh_kafka_error_kind(produced->error, &retriable);
  const char *name = tsh_kafka_error_name(produced->error);
  tsh_err_set(&err, kind, "kafka", produced->error,
              "producing to %s/%d: %s%s%.*s", flow->spec.target.topic,
              (int)flow->spec.target.partition,
              name != NULL ? name : "unknown error",
              produced->text.size > 0 ? ": " : "", (int)produced->text.size,
              produced->text.size > 0 ? produced->text.data : "");
  err.retriable = retriable;
  refuse(flow, tsh_mirror__reason_of(produced->error), &err);
  name_refused(flow, entry, produced->bad_record);
}

/* The item is answered: with what the broker said, or with `why` it did not
 * (then nobody knows whether the batch has landed). */
static void settle_item(sent *item, const tsh_produced *produced,
                        const tsh_err *why) {
  flow *flow = item->flow;
  flow->in_flight--;
  if (produced != NULL && produced->error == 0)
    landed(flow, item->entry, produced->base_offset);
  else if (!flow->broken && produced != NULL)
    refused(flow, item->entry, produced);
  else if (!flow->broken)
    refuse(flow, TSH_MIRROR_LEADER, why);
  tsh_mirror__entry_free(flow, item->entry);
  item->flow = NULL;
  tsh_mirror__want_send(flow);
  if (!tsh_mirror__settle(flow))
    tsh_mirror__want_fetch(flow, false);
}

static bool is_of(const flow *flow, const tsh_produced *produced) {
  const tsh_mirror_side *to = &flow->spec.target;
  return produced->partition == to->partition &&
         strlen(to->topic) == produced->topic.size &&
         memcmp(to->topic, produced->topic.data, produced->topic.size) == 0;
}

static sent *item_of(produce *request, const tsh_produced *produced,
                     size_t *hint) {
  for (size_t i = 0; i < request->count; i++) {
    sent *item = &request->items[(*hint + i) % request->count];
    if (item->flow != NULL && is_of(item->flow, produced)) {
      *hint += i + 1;
      return item;
    }
  }
  return NULL;
}

static void settle_rest(produce *request, const tsh_err *why) {
  for (size_t i = 0; i < request->count; i++)
    if (request->items[i].flow != NULL)
      settle_item(&request->items[i], NULL, why);
}

static void read_reply(produce *request, const tsh_reply *reply) {
  tsh_produce_iter iter;
  tsh_produced produced;
  tsh_err err = {0};
  size_t hint = 0;
  int status =
      tsh_produce_open(&iter, PRODUCE_VERSION, reply->data, reply->size, &err);
  while (status == 0 &&
         (status = tsh_produce_next(&iter, &produced, &err)) == 1) {
    sent *item = item_of(request, &produced, &hint);
    if (item != NULL)
      settle_item(item, &produced, NULL);
    status = 0;
  }
  if (status == 0)
    tsh_err_set(&err, TSH_PROTOCOL, "mirror", 0,
                "a produce reply does not name a partition");
  settle_rest(request, &err);
}

static void replied(void *user, const tsh_reply *reply) {
  produce *request = user;
  sender *sender = request->sender;
  tsh_mirror *mirror = sender->target->mirror;
  sender->in_flight--;
  if (reply->status != 0)
    settle_rest(request, reply->err);
  else
    read_reply(request, reply);
  forget(request);
  tsh_mirror__pump_senders(mirror);
  tsh_mirror__pump_sources(mirror);
}

/* --- pumping --- */

/* A flow may stand ready again behind its own batch: the next request. */
static void line_up(produce *request) {
  for (size_t i = 0; i < request->count; i++)
    tsh_mirror__want_send(request->items[i].flow);
}

static void start(sender *sender) {
  produce *request = malloc(sizeof *request);
  tsh_err err = {0};
  if (request == NULL)
    abort(); /* nothing in flight may be left to wake us up again */
  request->sender = sender;
  request->count = 0;
  request->gather = (tsh_gather){0};
  fill(request, sender);
  if (request->count == 0) {
    free(request);
    return;
  }
  if (send(request, &err) != 0) {
    settle_rest(request, &err);
    forget(request);
    return;
  }
  sender->in_flight++;
  line_up(request);
}

static void pump(sender *sender) {
  while (sender->in_flight < IN_FLIGHT && !TAILQ_EMPTY(&sender->ready))
    start(sender);
}

void tsh_mirror__pump_senders(tsh_mirror *mirror) {
  if (mirror->closing)
    return;
  for (target *at = mirror->targets; at != NULL; at = at->next)
    for (int i = 0; i < SENDERS; i++)
      pump(&at->senders[i]);
}
