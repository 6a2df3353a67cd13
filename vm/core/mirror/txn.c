/* Transactions of the source, kept as transactions of the target: under a
 * transactional id for each source producer, begun when the first batch of one
 * is read, ended where the source's marker lies.
 *
 * Only what is certain to land next may be in flight, whatever becomes of it:
 * batches of one transaction follow each other as any batches do, but between
 * producers, and before and after a marker, a flow waits. Ends that lie side by
 * side are asked for together: the order of such markers says nothing. EndTxn 5
 * gives each transaction an epoch of its own, so that nothing which comes late
 * can touch the next one. */
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum {
  BEGIN_VERSION = 2,
  END_VERSION = 5,
  CONCURRENT = 51, /* CONCURRENT_TRANSACTIONS: the last one still ends */
  AGAIN_MS = 1,
  MARKER_KEY = 4, /* version i16, type i16 */
  ABORT = 0,
  COMMIT = 1
};

/* --- the producers of a flow --- */

void tsh_mirror__producers_free(tsh_mirror_flow *spec) {
  for (size_t i = 0; spec->producers != NULL && i < spec->producer_count; i++) {
    free((char *)spec->producers[i].transactional_id);
    free((char *)spec->producers[i].host);
  }
  free((tsh_mirror_producer *)spec->producers);
  spec->producers = NULL;
}

bool tsh_mirror__producers_copy(tsh_mirror_flow *to,
                                const tsh_mirror_flow *from) {
  to->producers = NULL;
  if (from->producer_count == 0)
    return true;
  tsh_mirror_producer *copies = calloc(from->producer_count, sizeof *copies);
  if (copies == NULL)
    return false;
  to->producers = copies;
  bool whole = true;
  for (size_t i = 0; i < from->producer_count; i++) {
    copies[i] = from->producers[i];
    copies[i].transactional_id = strdup(from->producers[i].transactional_id);
    copies[i].host = strdup(from->producers[i].host);
    whole = whole && copies[i].transactional_id && copies[i].host;
  }
  return whole;
}

static bool txn_new(flow *flow, const tsh_mirror_producer *from,
                    tsh_login *login) {
  txn *made = calloc(1, sizeof *made);
  if (made == NULL)
    return false;
  *made = (txn){.next = flow->txns,
                .flow = flow,
                .name = strdup(from->transactional_id),
                .source_id = from->source_id,
                .id = from->id,
                .epoch = from->epoch,
                .sequence = from->sequence,
                .since = from->since};
  made->reading = made->begun = made->known = from->since >= 0;
  flow->txns = made;
  if (made->name != NULL)
    made->coordinator =
        tsh_mirror__aside_join(flow->mirror, from->host, from->port, login);
  return made->coordinator != NULL;
}

bool tsh_mirror__txns_new(flow *flow, const tsh_mirror_flow *spec) {
  flow->leader = tsh_mirror__aside_join(flow->mirror, spec->target.host,
                                        spec->target.port, spec->target.login);
  bool made = flow->leader != NULL;
  for (size_t i = 0; made && i < spec->producer_count; i++)
    made = txn_new(flow, &spec->producers[i], spec->target.login);
  return made;
}

void tsh_mirror__txns_free(flow *flow) {
  for (txn *next, *at = flow->txns; at != NULL; at = next) {
    next = at->next;
    if (at->again != NULL)
      tsh_timer_stop(at->again);
    if (at->coordinator != NULL)
      tsh_mirror__aside_leave(at->coordinator);
    free(at->name);
    free(at);
  }
  flow->txns = NULL;
  if (flow->leader != NULL)
    tsh_mirror__aside_leave(flow->leader);
  flow->leader = NULL;
}

int64_t tsh_mirror__stable(const flow *flow) {
  int64_t stable = flow->acked_target;
  for (const txn *at = flow->txns; at != NULL; at = at->next)
    if (at->since >= 0 && at->since < stable)
      stable = at->since;
  return stable;
}

/* --- asking the coordinator --- */

typedef struct question {
  txn *txn;
  bool end;
  struct iovec body;
} question;

static void begin(txn *txn);
static void end(txn *txn);

static void refuse(flow *flow, tsh_mirror_reason reason, const tsh_err *why) {
  tsh_mirror__give_up(flow, reason, why);
  flow->broken = true;
}

static void refused(txn *txn, int error, const char *what) {
  tsh_err err;
  tsh_mirror__refusal(&err, txn->flow, error, what);
  refuse(txn->flow, tsh_mirror__reason_of(error), &err);
}

static bool given_up(const flow *flow) {
  return flow->broken || (flow->stop != NULL && !flow->drain);
}

static void once_more(void *user) {
  txn *txn = user;
  tsh_timer_stop(txn->again);
  txn->again = NULL;
  if (txn->end != NULL)
    end(txn);
  else
    begin(txn);
}

static void try_again(txn *txn) {
  txn->again =
      tsh_timer_start(txn->flow->mirror->loop, AGAIN_MS, once_more, txn);
}

static void begun(txn *txn, const tsh_reply *reply) {
  flow *flow = txn->flow;
  int16_t error = 0;
  tsh_err err;
  txn->asking = false;
  if (given_up(flow))
    return;
  if (reply->status != 0)
    refuse(flow, TSH_MIRROR_LEADER, reply->err);
  else if (tsh_txn_begin_decode(reply->data, reply->size, &error, &err) != 0)
    refuse(flow, TSH_MIRROR_FAILED, &err);
  else if (error == CONCURRENT)
    try_again(txn);
  else if (error != 0)
    refused(txn, error, "beginning a transaction on");
  else
    txn->begun = true;
}

static void take_back(flow *flow) {
  for (entry *next, *at = flow->ending; at != NULL; at = next) {
    next = at->next;
    at->txn->end = NULL;
    flow->in_flight--;
    tsh_mirror__entry_free(flow, at);
  }
  flow->ending = NULL;
}

/* All ends of the group are answered. */
static void all_answered(flow *flow) {
  if (given_up(flow))
    take_back(flow);
  else
    tsh_mirror__await_end(flow);
}

static void has_ended(txn *txn, const tsh_txn_ended *said) {
  txn->id = said->producer_id;
  txn->epoch = said->producer_epoch;
  txn->sequence = 0;
  txn->begun = txn->known = false;
  txn->end = NULL;
  txn->ends--;
  if (txn->waiting > 0)
    begin(txn);
}

static void ended(txn *txn, const tsh_reply *reply) {
  flow *flow = txn->flow;
  tsh_txn_ended said = {0};
  tsh_err err;
  if (reply->status != 0)
    refuse(flow, TSH_MIRROR_LEADER, reply->err);
  else if (tsh_txn_end_decode(reply->data, reply->size, &said, &err) != 0)
    refuse(flow, TSH_MIRROR_FAILED, &err);
  else if (said.error == CONCURRENT && !given_up(flow))
    try_again(txn);
  else if (said.error != 0)
    refused(txn, said.error, "ending a transaction on");
  else
    has_ended(txn, &said);
  if (txn->again == NULL && --flow->unanswered == 0)
    all_answered(flow);
}

static void replied(void *user, const tsh_reply *reply) {
  question *asked = user;
  txn *txn = asked->txn;
  flow *flow = txn->flow;
  tsh_mirror *mirror = flow->mirror;
  bool was_end = asked->end;
  free(asked->body.iov_base);
  free(asked);
  if (was_end)
    ended(txn, reply);
  else
    begun(txn, reply);
  flow->asking--; /* not before: none of this settles the flow */
  tsh_mirror__want_send(flow);
  tsh_mirror__settle(flow);
  tsh_mirror__pump_senders(mirror);
}

static int ask(txn *txn, bool end, tsh_err *err) {
  flow *flow = txn->flow;
  const tsh_mirror_side *to = &flow->spec.target;
  question *asked = calloc(1, sizeof *asked);
  if (asked == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "mirror", 0, "out of memory");
  *asked = (question){.txn = txn, .end = end};
  tsh_txn_call call = {.transactional_id = txn->name,
                       .producer_id = txn->id,
                       .producer_epoch = txn->epoch,
                       .topic = {to->topic, strlen(to->topic)},
                       .partition = to->partition,
                       .commit = end && txn->end->commit};
  tsh_request req = {.api_key =
                         end ? TSH_API_END_TXN : TSH_API_ADD_PARTITIONS_TO_TXN,
                     .version = end ? END_VERSION : BEGIN_VERSION,
                     .parts = &asked->body,
                     .count = 1,
                     .replied = replied,
                     .user = asked};
  int status = end ? tsh_txn_end_encode(&call, &asked->body, err)
                   : tsh_txn_begin_encode(&call, &asked->body, err);
  if (status == 0)
    status = tsh_mirror__aside_send(
        txn->coordinator, (size_t)txn->source_id + (size_t)to->partition, &req,
        err);
  if (status == 0) {
    flow->asking++;
  } else {
    free(asked->body.iov_base);
    free(asked);
  }
  return status;
}

static void begin(txn *txn) {
  tsh_err err;
  if (txn->begun || txn->asking || txn->again != NULL || given_up(txn->flow))
    return;
  txn->asking = true;
  if (ask(txn, false, &err) != 0) {
    txn->asking = false;
    refuse(txn->flow, TSH_MIRROR_LEADER, &err);
  }
}

/* The flow is settled by the caller, or by the last answer. */
static void end(txn *txn) {
  flow *flow = txn->flow;
  tsh_err err;
  int status = given_up(flow) ? TSH_CLOSED : ask(txn, true, &err);
  if (status == 0)
    return;
  if (!given_up(flow))
    refuse(flow, TSH_MIRROR_LEADER, &err);
  if (--flow->unanswered == 0) {
    take_back(flow);
    tsh_mirror__settle(flow);
  }
}

/* --- sending --- */

void tsh_mirror__send_ends(flow *flow) {
  entry **tail = &flow->ending;
  while (flow->head != NULL && flow->head->bytes == NULL &&
         flow->head->txn != NULL && flow->head->txn->end == NULL) {
    entry *next = flow->head;
    flow->head = next->next;
    next->next = NULL;
    next->txn->end = *tail = next;
    tail = &next->next;
    flow->in_flight++;
    flow->unanswered++;
    flow->awaited = next->target + 1;
  }
  if (flow->head == NULL)
    flow->tail = NULL;
  /* Held, so that none of them settles the flow under our feet. */
  flow->asking++;
  for (entry *next, *at = flow->ending; at != NULL; at = next) {
    next = at->next;
    end(at->txn);
  }
  flow->asking--;
}

void tsh_mirror__ends_landed(flow *flow, int64_t log_end, const tsh_err *why) {
  if (log_end < 0) {
    refuse(flow, TSH_MIRROR_LEADER, why);
  } else if (log_end != flow->awaited) {
    tsh_mirror_event *stop =
        tsh_mirror__give_up(flow, TSH_MIRROR_FOREIGN, NULL);
    if (stop != NULL) {
      stop->expected = flow->awaited;
      stop->got = log_end;
    }
    flow->broken = true;
  } else if (!flow->broken) {
    for (entry *at = flow->ending; at != NULL; at = at->next) {
      at->txn->since = -1;
      flow->acked_source = at->source_next;
      flow->acked_target = at->target + 1;
      flow->acked_epoch = at->epoch;
    }
    tsh_mirror__touch(flow);
  }
  take_back(flow);
  tsh_mirror__want_send(flow);
  if (!tsh_mirror__settle(flow))
    tsh_mirror__want_fetch(flow, false);
}

void tsh_mirror__txns_cut(flow *flow) {
  tsh_mirror__await_none(flow);
  take_back(flow);
}

/* --- reading --- */

static txn *find(const flow *flow, int64_t source_id) {
  txn *at = flow->txns;
  while (at != NULL && at->source_id != source_id)
    at = at->next;
  return at;
}

/* The verdict of a marker, or -1: it is of another kind, or was emptied. */
static int verdict_of(const tsh_batch *batch) {
  tsh_records records;
  tsh_record record;
  int verdict = -1;
  tsh_records_init(&records);
  if (batch->count > 0 && tsh_batch_codec(batch) == TSH_CODEC_NONE &&
      tsh_records_open(&records, batch, batch->size, NULL) == 0 &&
      tsh_records_next(&records, &record, NULL) == 1 &&
      record.key_size >= MARKER_KEY && record.key[2] == 0 &&
      record.key[3] <= COMMIT)
    verdict = record.key[3];
  tsh_records_fini(&records);
  return verdict;
}

/* The end of the transaction that is open where we read. */
static int read_end(flow *flow, txn *txn, const tsh_batch *batch) {
  tsh_err err;
  int verdict = -1;
  if (tsh_batch_check(batch, &err) == 0 && (verdict = verdict_of(batch)) < 0)
    tsh_err_set(&err, TSH_PROTOCOL, "mirror", 0,
                "the marker at offset %lld was removed before it was copied: "
                "nobody can say whether the transaction of producer %lld was "
                "committed",
                (long long)batch->base_offset, (long long)batch->producer_id);
  txn->reading = false;
  txn->owes = true;
  txn->commit = verdict == COMMIT;
  if (verdict >= 0)
    return 0;
  tsh_mirror__end(flow, TSH_MIRROR_CORRUPT, true, &err);
  return TSH_PROTOCOL;
}

static txn *owing(const flow *flow) {
  txn *at = flow->txns;
  while (at != NULL && !at->owes)
    at = at->next;
  return at;
}

/* A marker without a transaction of ours becomes part of a hole. Those that lie
 * side by side have landed in any order: where the place of one is taken and
 * its transaction is open all the same, the end of another one lies there, in
 * whose place it is put. */
static int take_marker(flow *flow, const tsh_batch *batch, bool there) {
  txn *txn = find(flow, batch->producer_id);
  if (txn != NULL && txn->reading && batch->base_offset > txn->since) {
    if (read_end(flow, txn, batch) != 0)
      return TSH_PROTOCOL;
  } else {
    txn = owing(flow);
  }
  if (txn == NULL || there)
    return 1;
  int status = tsh_mirror__reach(flow, batch->base_offset);
  if (status != 0)
    return status;
  entry *marker = tsh_mirror__entry_new(flow, NULL, NULL, 0);
  if (marker == NULL)
    return tsh_mirror__no_memory(flow);
  marker->target = flow->next_target++;
  marker->txn = txn;
  marker->commit = txn->commit;
  txn->owes = false;
  txn->ends++;
  tsh_mirror__enqueue(flow, marker);
  return 1;
}

int tsh_mirror__txn_take(flow *flow, const tsh_batch *batch) {
  bool there = tsh_batch_next_offset(batch) <= flow->next_target;
  flow->reading_as = NULL;
  flow->reading_txn = tsh_batch_is(batch, TSH_BATCH_TRANSACTIONAL) &&
                      !tsh_batch_is(batch, TSH_BATCH_CONTROL);
  if (tsh_batch_is(batch, TSH_BATCH_CONTROL))
    return take_marker(flow, batch, there);
  if (!flow->reading_txn || batch->count == 0 || there)
    return 0;
  flow->reading_as = find(flow, batch->producer_id);
  if (flow->reading_as != NULL)
    return 0;
  tsh_mirror__end(flow, TSH_MIRROR_TRANSACTIONAL, true, NULL)->producer =
      batch->producer_id;
  return TSH_NOT_FOUND;
}

void tsh_mirror__txn_queued(entry *entry) {
  txn *txn = entry->txn;
  txn->reading = true;
  txn->waiting++;
  if (txn->ends == 0)
    begin(txn);
}
