/* The small requests of a copied transaction, without the table: what begins
 * and ends it (AddPartitionsToTxn 2, EndTxn 5), and where logs end (ListOffsets
 * 4), which says that its marker has landed. */
#include <stdlib.h>

#include "bytes.h"

enum {
  NO_REPLICA = -1,
  AT_END = -1, /* the timestamp that means it */
  ANY_EPOCH = -1,
  UNCOMMITTED = 0
};

/* Told twice to write: to count, and into the block. */
typedef void writer(tsh_out *out, const void *what);

static int encode(writer *write, const void *what, struct iovec *body,
                  tsh_err *err) {
  tsh_out out = {0};
  write(&out, what);
  *body = (struct iovec){malloc(out.size), out.size};
  if (body->iov_base == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory to ask");
  out = (tsh_out){body->iov_base, 0};
  write(&out, what);
  return 0;
}

static int broken(const char *what, tsh_err *err) {
  return tsh_err_set(err, TSH_PROTOCOL, "wire", 0, "%s response breaks off",
                     what);
}

static tsh_text text_of(const char *text) {
  return (tsh_text){text, strlen(text)};
}

/* --- AddPartitionsToTxn --- */

static void write_begin(tsh_out *out, const void *what) {
  const tsh_txn_call *call = what;
  tsh_out_text(out, text_of(call->transactional_id), false);
  tsh_out_i64(out, call->producer_id);
  tsh_out_i16(out, call->producer_epoch);
  tsh_out_count(out, 1, false, false);
  tsh_out_text(out, call->topic, false);
  tsh_out_count(out, 1, false, false);
  tsh_out_i32(out, call->partition);
}

int tsh_txn_begin_encode(const tsh_txn_call *call, struct iovec *body,
                         tsh_err *err) {
  return encode(write_begin, call, body, err);
}

int tsh_txn_begin_decode(const void *data, size_t size, int16_t *error,
                         tsh_err *err) {
  tsh_in in = tsh_in_of(data, size);
  tsh_topic_walk walk = {0};
  tsh_in_i32(&in); /* throttle time */
  walk.topics = tsh_in_count(&in, false, false);
  tsh_in_next_topic(&in, &walk);
  tsh_in_i32(&in);
  *error = tsh_in_i16(&in);
  return in.bad ? broken("AddPartitionsToTxn", err) : 0;
}

/* --- EndTxn --- */

static void write_end(tsh_out *out, const void *what) {
  const tsh_txn_call *call = what;
  tsh_out_text(out, text_of(call->transactional_id), true);
  tsh_out_i64(out, call->producer_id);
  tsh_out_i16(out, call->producer_epoch);
  tsh_out_i8(out, call->commit);
  tsh_out_no_tags(out, true);
}

int tsh_txn_end_encode(const tsh_txn_call *call, struct iovec *body,
                       tsh_err *err) {
  return encode(write_end, call, body, err);
}

int tsh_txn_end_decode(const void *data, size_t size, tsh_txn_ended *out,
                       tsh_err *err) {
  tsh_in in = tsh_in_of(data, size);
  tsh_in_i32(&in); /* throttle time */
  out->error = tsh_in_i16(&in);
  out->producer_id = tsh_in_i64(&in);
  out->producer_epoch = tsh_in_i16(&in);
  return in.bad ? broken("EndTxn", err) : 0;
}

/* --- ListOffsets --- */

typedef struct wanted_ends {
  const tsh_log_end *wants;
  size_t count;
} wanted_ends;

static void write_ends(tsh_out *out, const void *what) {
  const wanted_ends *ends = what;
  tsh_out_i32(out, NO_REPLICA);
  tsh_out_i8(out, UNCOMMITTED);
  tsh_out_count(out, (int64_t)ends->count, false, false);
  for (size_t i = 0; i < ends->count; i++) {
    tsh_out_text(out, ends->wants[i].topic, false);
    tsh_out_count(out, 1, false, false);
    tsh_out_i32(out, ends->wants[i].partition);
    tsh_out_i32(out, ANY_EPOCH);
    tsh_out_i64(out, AT_END);
  }
}

int tsh_log_ends_encode(const tsh_log_end *wants, size_t count,
                        struct iovec *body, tsh_err *err) {
  wanted_ends ends = {wants, count};
  return encode(write_ends, &ends, body, err);
}

int tsh_log_ends_open(tsh_topic_walk *iter, const void *data, size_t size,
                      tsh_err *err) {
  tsh_in in = tsh_in_of(data, size);
  *iter = (tsh_topic_walk){0};
  tsh_in_i32(&in); /* throttle time */
  iter->topics = tsh_in_count(&in, false, false);
  iter->at = in.at;
  iter->end = in.end;
  return in.bad || iter->topics < 0 ? broken("ListOffsets", err) : 0;
}

int tsh_log_ends_next(tsh_topic_walk *iter, tsh_log_end *out, tsh_err *err) {
  tsh_in in = tsh_in_of(iter->at, (size_t)(iter->end - iter->at));
  tsh_in_next_topic(&in, iter);
  if (in.bad)
    return broken("ListOffsets", err);
  if (iter->parts == 0)
    return 0;
  iter->parts--;
  out->topic = iter->topic;
  out->partition = tsh_in_i32(&in);
  out->error = tsh_in_i16(&in);
  tsh_in_i64(&in); /* timestamp */
  out->offset = tsh_in_i64(&in);
  tsh_in_i32(&in); /* leader epoch */
  iter->at = in.at;
  return in.bad ? broken("ListOffsets", err) : 1;
}
