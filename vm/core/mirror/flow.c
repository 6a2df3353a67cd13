/* The life of a flow: begun, found by id, ended with a reason. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum { FIRST_TABLE = 64 };

size_t tsh_mirror__hash(const char *id) {
  uint64_t h = 14695981039346656037u; /* FNV-1a */
  for (; *id != '\0'; id++)
    h = (h ^ (uint8_t)*id) * 1099511628211u;
  return (size_t)(h ^ h >> 32);
}

static flow **bucket(tsh_mirror *mirror, const char *id) {
  return &mirror->table[tsh_mirror__hash(id) & (mirror->table_size - 1)];
}

flow *tsh_mirror__find(tsh_mirror *mirror, const char *id) {
  if (mirror->table_size == 0)
    return NULL;
  flow *at = *bucket(mirror, id);
  while (at != NULL && strcmp(at->spec.id, id) != 0)
    at = at->hash_next;
  return at;
}

static bool grow(tsh_mirror *mirror) {
  if (mirror->flow_count < mirror->table_size)
    return true;
  size_t old_size = mirror->table_size;
  size_t size = old_size == 0 ? FIRST_TABLE : 2 * old_size;
  flow **table = calloc(size, sizeof(flow *));
  if (table == NULL)
    return false;
  flow **old = mirror->table;
  mirror->table = table;
  mirror->table_size = size;
  for (size_t i = 0; i < old_size; i++)
    while (old[i] != NULL) {
      flow *moved = old[i], **to = bucket(mirror, moved->spec.id);
      old[i] = moved->hash_next;
      moved->hash_next = *to;
      *to = moved;
    }
  free(old);
  return true;
}

static bool copy_texts(tsh_mirror_flow *spec) {
  spec->id = strdup(spec->id);
  spec->source.topic = strdup(spec->source.topic);
  spec->target.topic = strdup(spec->target.topic);
  spec->source.host = spec->target.host = NULL;   /* the links know them ... */
  spec->source.login = spec->target.login = NULL; /* ... and these */
  return spec->id && spec->source.topic && spec->target.topic;
}

static void free_flow(flow *flow) {
  free((char *)flow->spec.id);
  free((char *)flow->spec.source.topic);
  free((char *)flow->spec.target.topic);
  tsh_mirror_event_free(flow->report);
  tsh_mirror_event_free(flow->stop);
  free(flow);
}

static void set_positions(flow *flow) {
  const tsh_mirror_flow *spec = &flow->spec;
  flow->position = flow->acked_source = spec->source_offset;
  /* Where same, a target offset says which record lies there, so the walk
   * only counts sequences. */
  flow->next_target = spec->same ? spec->log_end : spec->target_offset;
  flow->acked_target = spec->target_offset;
  flow->sequence = flow->acked_sequence = spec->sequence;
  flow->producer_epoch = spec->producer_epoch;
  flow->epoch_read = flow->acked_epoch = spec->last_epoch;
  flow->source_end = -1;
  flow->moved_ms = tsh_loop_now(flow->mirror->loop);
}

int tsh_mirror__flow_new(tsh_mirror *mirror, const tsh_mirror_flow *spec,
                         flow **out, tsh_err *err) {
  flow *made = calloc(1, sizeof *made);
  if (made == NULL || !grow(mirror))
    goto no_memory;
  made->mirror = mirror;
  made->spec = *spec;
  if (!copy_texts(&made->spec))
    goto no_memory;
  made->source = tsh_mirror__source_join(
      mirror, &spec->source, spec->has_topic_id ? 13 : 12, !spec->transactions);
  made->sender = tsh_mirror__sender_join(mirror, &spec->target);
  if (made->source == NULL || made->sender == NULL)
    goto no_memory;
  made->spec.producers = NULL; /* the transactions know them */
  if (spec->transactions && !tsh_mirror__txns_new(made, spec))
    goto no_memory;
  set_positions(made);
  flow **to = bucket(mirror, made->spec.id);
  made->hash_next = *to;
  *to = made;
  mirror->flow_count++;
  *out = made;
  return 0;
no_memory:
  if (made != NULL) {
    tsh_mirror__txns_free(made);
    if (made->sender != NULL)
      tsh_mirror__sender_leave(made->sender);
    if (made->source != NULL)
      tsh_mirror__source_leave(made->source);
    free_flow(made);
  }
  return tsh_err_set(err, TSH_NO_MEMORY, "mirror", 0, "no memory for a flow");
}

void tsh_mirror__flow_drop(flow *dropped) {
  tsh_mirror *mirror = dropped->mirror;
  tsh_mirror__txns_cut(dropped);
  assert(dropped->in_flight == 0 && dropped->asking == 0);
  tsh_mirror__drop_queue(dropped);
  tsh_mirror__no_fetch(dropped);
  tsh_mirror__txns_free(dropped);
  tsh_mirror__source_leave(dropped->source);
  tsh_mirror__sender_leave(dropped->sender);
  flow **at = bucket(mirror, dropped->spec.id);
  while (*at != dropped)
    at = &(*at)->hash_next;
  *at = dropped->hash_next;
  mirror->flow_count--;
  pthread_mutex_lock(&mirror->shared->lock);
  tsh_mirror__route_end(mirror->shared, dropped->spec.id);
  pthread_mutex_unlock(&mirror->shared->lock);
  free_flow(dropped);
}

static tsh_mirror_event *stopped(flow *flow, tsh_mirror_reason reason,
                                 const tsh_err *why) {
  tsh_mirror_event *stop =
      tsh_mirror__event_new(TSH_MIRROR_STOPPED, flow->spec.id);
  stop->reason = reason;
  stop->log_start = stop->log_end = stop->expected = stop->got = -1;
  stop->diverging_epoch = stop->producer = stop->refused.offset = -1;
  if (why != NULL)
    stop->err = *why;
  flow->stop = stop;
  return stop;
}

tsh_mirror_event *tsh_mirror__end(flow *flow, tsh_mirror_reason reason,
                                  bool drain, const tsh_err *why) {
  if (flow->stop != NULL)
    return NULL;
  flow->drain = drain;
  return stopped(flow, reason, why);
}

tsh_mirror_event *tsh_mirror__give_up(flow *flow, tsh_mirror_reason reason,
                                      const tsh_err *why) {
  if (flow->broken)
    return NULL;
  bool answer = flow->stop != NULL && flow->stop->answer;
  tsh_mirror_event_free(flow->stop);
  flow->drain = false;
  stopped(flow, reason, why)->answer = answer;
  return flow->stop;
}

bool tsh_mirror__settle(flow *flow) {
  if (flow->stop == NULL)
    return false;
  if (!flow->drain)
    tsh_mirror__drop_queue(flow);
  if (flow->in_flight > 0 || flow->asking > 0 || flow->head != NULL)
    return false;
  tsh_mirror_event *stop = flow->stop;
  flow->stop = NULL;
  tsh_mirror__tell_stop(flow, stop);
  tsh_mirror__flow_drop(flow);
  return true;
}

tsh_mirror_reason tsh_mirror__reason_of(int code) {
  switch (code) {
    case 1: /* OFFSET_OUT_OF_RANGE */
      return TSH_MIRROR_OUT_OF_RANGE;
    case 2:  /* CORRUPT_MESSAGE */
    case 87: /* INVALID_RECORD */
      return TSH_MIRROR_CORRUPT;
    case 10: /* MESSAGE_TOO_LARGE */
    case 18: /* RECORD_LIST_TOO_LARGE */
      return TSH_MIRROR_TOO_LARGE;
    case 29: /* TOPIC_AUTHORIZATION_FAILED */
    case 31: /* CLUSTER_AUTHORIZATION_FAILED */
    case 53: /* TRANSACTIONAL_ID_AUTHORIZATION_FAILED */
      return TSH_MIRROR_DENIED;
    case 32: /* INVALID_TIMESTAMP */
      return TSH_MIRROR_TIMESTAMP;
    case 45: /* OUT_OF_ORDER_SEQUENCE_NUMBER */
    case 46: /* DUPLICATE_SEQUENCE_NUMBER: written, but where is not known */
    case 59: /* UNKNOWN_PRODUCER_ID */
      return TSH_MIRROR_SEQUENCE;
    case 47: /* INVALID_PRODUCER_EPOCH */
    case 90: /* PRODUCER_FENCED */
      return TSH_MIRROR_FENCED;
    case 100: /* UNKNOWN_TOPIC_ID */
    case 103: /* INCONSISTENT_TOPIC_ID */
      return TSH_MIRROR_TOPIC_ID;
    case 48: /* INVALID_TXN_STATE, INVALID_PRODUCER_ID_MAPPING: whoever ... */
    case 49: /* ... starts again asks the coordinator */
    case 3:  /* UNKNOWN_TOPIC_OR_PARTITION: also while metadata travels */
      return TSH_MIRROR_LEADER;
  }
  bool retriable = false;
  tsh_kafka_error_kind(code, &retriable);
  return retriable ? TSH_MIRROR_LEADER : TSH_MIRROR_FAILED;
}

void tsh_mirror__refusal(tsh_err *err, const flow *flow, int code,
                         const char *what) {
  bool retriable = false;
  tsh_kind kind = tsh_kafka_error_kind(code, &retriable);
  const char *name = tsh_kafka_error_name(code);
  tsh_err_set(err, kind, "kafka", code, "%s %s/%d: %s", what,
              flow->spec.target.topic, (int)flow->spec.target.partition,
              name != NULL ? name : "unknown error");
  err->retriable = retriable;
}

const char *tsh_mirror_reason_name(tsh_mirror_reason reason) {
  static const char *const names[] = {
      [TSH_MIRROR_ASKED] = "asked",
      [TSH_MIRROR_REACHED] = "reached",
      [TSH_MIRROR_LEADER] = "leader",
      [TSH_MIRROR_OUT_OF_RANGE] = "out_of_range",
      [TSH_MIRROR_TOPIC_ID] = "topic_id",
      [TSH_MIRROR_DIVERGED] = "diverged",
      [TSH_MIRROR_TRANSACTIONAL] = "transactional",
      [TSH_MIRROR_FOREIGN] = "foreign",
      [TSH_MIRROR_SEQUENCE] = "sequence",
      [TSH_MIRROR_FENCED] = "fenced",
      [TSH_MIRROR_TOO_LARGE] = "too_large",
      [TSH_MIRROR_TIMESTAMP] = "timestamp",
      [TSH_MIRROR_CORRUPT] = "corrupt",
      [TSH_MIRROR_DENIED] = "denied",
      [TSH_MIRROR_FAILED] = "failed",
  };
  return names[reason];
}
