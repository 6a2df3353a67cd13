/* Fetch without the table: versions 11, 12 and 13, full or in a session.
 *
 * Reading gives one partition after the other and never looks into records;
 * versions from 12 on are flexible, 13 names topics by their ids. */
#include <stdlib.h>

#include "bytes.h"

enum { FLEXIBLE = 12, WITH_IDS = 13 };
enum { TAG_DIVERGING = 0, TAG_LEADER = 1 };

static bool same_topic(int16_t version, const tsh_fetch_want *a,
                       const tsh_fetch_want *b) {
  if (version >= WITH_IDS)
    return memcmp(a->topic_id, b->topic_id, sizeof a->topic_id) == 0;
  return a->topic.size == b->topic.size &&
         memcmp(a->topic.data, b->topic.data, a->topic.size) == 0;
}

/* How many wants from `first` on share its topic. */
static size_t run_of(int16_t version, const tsh_fetch_want *wants, size_t first,
                     size_t count) {
  size_t next = first + 1;
  while (next < count && same_topic(version, &wants[first], &wants[next]))
    next++;
  return next - first;
}

static void write_partition(tsh_out *out, int16_t version,
                            const tsh_fetch_want *want) {
  tsh_out_i32(out, want->partition);
  tsh_out_i32(out, want->leader_epoch);
  tsh_out_i64(out, want->offset);
  if (version >= FLEXIBLE)
    tsh_out_i32(out, want->last_epoch);
  tsh_out_i64(out, -1); /* log start: for followers */
  tsh_out_i32(out, want->max_bytes);
  tsh_out_no_tags(out, version >= FLEXIBLE);
}

static void write_topic(tsh_out *out, int16_t version,
                        const tsh_fetch_want *want) {
  if (version >= WITH_IDS)
    tsh_out_raw(out, want->topic_id, sizeof want->topic_id);
  else
    tsh_out_text(out, want->topic, version >= FLEXIBLE);
}

/* Of those that a session shall forget only the partitions' numbers. */
static void write_topics(tsh_out *out, int16_t version, bool forgotten,
                         const tsh_fetch_want *wants, size_t count) {
  bool compact = version >= FLEXIBLE;
  int64_t topics = 0;
  for (size_t i = 0; i < count; i += run_of(version, wants, i, count))
    topics++;
  tsh_out_count(out, topics, compact, false);
  for (size_t i = 0, run; i < count; i += run) {
    run = run_of(version, wants, i, count);
    write_topic(out, version, &wants[i]);
    tsh_out_count(out, (int64_t)run, compact, false);
    for (size_t j = i; j < i + run; j++)
      if (forgotten)
        tsh_out_i32(out, wants[j].partition);
      else
        write_partition(out, version, &wants[j]);
    tsh_out_no_tags(out, compact);
  }
}

static void write_request(tsh_out *out, int16_t version,
                          const tsh_fetch_limits *limits,
                          const tsh_fetch_want *wants, size_t count) {
  bool compact = version >= FLEXIBLE;
  tsh_out_i32(out, -1); /* no replica */
  tsh_out_i32(out, limits->max_wait_ms);
  tsh_out_i32(out, limits->min_bytes);
  tsh_out_i32(out, limits->max_bytes);
  tsh_out_i8(out, limits->committed);
  static const tsh_fetch_session none = {0, -1, NULL, 0};
  const tsh_fetch_session *session =
      limits->session != NULL ? limits->session : &none;
  tsh_out_i32(out, session->id);
  tsh_out_i32(out, session->epoch);
  write_topics(out, version, false, wants, count);
  write_topics(out, version, true, session->forgotten,
               session->forgotten_count);
  tsh_out_text(out, (tsh_text){"", 0}, compact); /* rack */
  tsh_out_no_tags(out, compact);
}

int tsh_fetch_encode(int16_t version, const tsh_fetch_limits *limits,
                     const tsh_fetch_want *wants, size_t count,
                     struct iovec *out, tsh_err *err) {
  tsh_out sink = {NULL, 0};
  *out = (struct iovec){NULL, 0};
  if (version < 11 || version > WITH_IDS)
    return tsh_err_set(err, TSH_INVALID, "wire", 0, "Fetch v%d is not built",
                       version);
  write_request(&sink, version, limits, wants, count);
  *out = (struct iovec){malloc(sink.size), sink.size};
  if (!out->iov_base)
    return tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory for a Fetch");
  sink = (tsh_out){out->iov_base, 0};
  write_request(&sink, version, limits, wants, count);
  return 0;
}

/* --- the answer ---------------------------------------------------------- */

static int broken(const char *where, tsh_err *err) {
  return tsh_err_set(err, TSH_PROTOCOL, "wire", 0,
                     "Fetch response breaks off in %s", where);
}

int tsh_fetch_open(tsh_fetch_iter *iter, int16_t version, uint8_t *data,
                   size_t size, int16_t *error, tsh_err *err) {
  tsh_in in = tsh_in_of(data, size);
  *iter = (tsh_fetch_iter){.compact = version >= FLEXIBLE,
                           .with_ids = version >= WITH_IDS};
  if (version < 11 || version > WITH_IDS)
    return tsh_err_set(err, TSH_INVALID, "wire", 0, "Fetch v%d is not built",
                       version);
  tsh_in_i32(&in); /* throttle time */
  *error = tsh_in_i16(&in);
  iter->session = tsh_in_i32(&in);
  int64_t topics = tsh_in_count(&in, version >= FLEXIBLE, false);
  if (in.bad || topics < 0)
    return broken("its head", err);
  iter->at = in.at;
  iter->end = in.end;
  iter->topics = topics;
  return 0;
}

static void read_tags(tsh_in *in, tsh_fetched *out) {
  uint32_t left = tsh_in_uvarint(in), tag;
  tsh_in field;
  while (tsh_in_tag(in, &left, &tag, &field)) {
    if (tag == TAG_DIVERGING) {
      out->diverging_epoch = tsh_in_i32(&field);
      out->diverging_end = tsh_in_i64(&field);
    } else if (tag == TAG_LEADER) {
      out->leader_id = tsh_in_i32(&field);
      out->leader_epoch = tsh_in_i32(&field);
    }
    in->bad |= field.bad;
  }
}

static bool read_aborted(tsh_in *in, bool compact, int64_t *producer_id,
                         int64_t *first_offset) {
  *producer_id = tsh_in_i64(in);
  *first_offset = tsh_in_i64(in);
  if (compact)
    tsh_in_skip_tags(in);
  return !in->bad;
}

static void skip_aborted(tsh_in *in, bool compact, tsh_fetched *out) {
  int64_t count = tsh_in_count(in, compact, false), id, first;
  out->aborted = in->at;
  out->aborted_count = count > 0 ? (int32_t)count : 0;
  out->compact = compact;
  while (count-- > 0 && read_aborted(in, compact, &id, &first)) {
  }
  out->aborted_end = in->at;
}

static void read_partition(tsh_in *in, bool compact, tsh_fetched *out) {
  out->partition = tsh_in_i32(in);
  out->error = tsh_in_i16(in);
  out->high_watermark = tsh_in_i64(in);
  out->last_stable = tsh_in_i64(in);
  out->log_start = tsh_in_i64(in);
  skip_aborted(in, compact, out);
  tsh_in_i32(in); /* preferred replica: for racks */
  tsh_text records = tsh_in_bytes(in, compact);
  out->records = (uint8_t *)(uintptr_t)records.data;
  out->records_size = records.size;
  if (compact)
    read_tags(in, out);
}

int tsh_fetch_next(tsh_fetch_iter *iter, tsh_fetched *out, tsh_err *err) {
  bool compact = iter->compact;
  tsh_in in = tsh_in_of(iter->at, (size_t)(iter->end - iter->at));
  tsh_in_next_topic(&in, iter);
  if (in.bad)
    return broken("a topic", err);
  if (iter->parts == 0)
    return 0;
  *out = (tsh_fetched){.topic = iter->topic,
                       .topic_id = iter->topic_id,
                       .diverging_epoch = -1,
                       .diverging_end = -1,
                       .leader_id = -1,
                       .leader_epoch = -1};
  read_partition(&in, compact, out);
  if (--iter->parts == 0 && compact)
    tsh_in_skip_tags(&in);
  if (in.bad)
    return broken("a partition", err);
  iter->at = in.at;
  return 1;
}

bool tsh_fetched_aborted(tsh_fetched *fetched, int64_t *producer_id,
                         int64_t *first_offset) {
  tsh_in in = tsh_in_of(fetched->aborted,
                        (size_t)(fetched->aborted_end - fetched->aborted));
  if (fetched->aborted_count == 0)
    return false;
  fetched->aborted_count--;
  read_aborted(&in, fetched->compact, producer_id, first_offset);
  fetched->aborted = in.at;
  return true;
}
