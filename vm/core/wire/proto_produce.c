/* Produce without the table: versions 8 to 13, acks=all.
 *
 * The request is a scatter list: what stands between the batches is written
 * into one block, the batches themselves stay where they are. Versions from 9
 * on are flexible, 13 names topics by their ids. */
#include <stdlib.h>

#include "bytes.h"

enum { OLDEST = 8, FLEXIBLE = 9, WITH_IDS = 13 };
enum { TAG_LEADER = 0, ACKS_ALL = -1 };

/* Collects glue into the block and cuts it where a batch stands. While
 * counting, parts are only counted. */
typedef struct gather {
  tsh_out glue;
  struct iovec *parts; /* NULL: count only */
  uint8_t *cut;        /* where the glue of the open part began */
  int count;
  size_t size;
  int16_t version;
} gather;

static void add_part(gather *g, void *data, size_t size) {
  if (size == 0)
    return;
  if (g->parts)
    g->parts[g->count] = (struct iovec){data, size};
  g->count++;
  g->size += size;
}

static void end_glue(gather *g) {
  add_part(g, g->cut, g->glue.at ? (size_t)(g->glue.at - g->cut) : 1);
  g->cut = g->glue.at;
}

static bool same_topic(int16_t version, const tsh_produce_item *a,
                       const tsh_produce_item *b) {
  if (version >= WITH_IDS)
    return memcmp(a->topic_id, b->topic_id, sizeof a->topic_id) == 0;
  return a->topic.size == b->topic.size &&
         memcmp(a->topic.data, b->topic.data, a->topic.size) == 0;
}

static size_t run_of(int16_t version, const tsh_produce_item *items,
                     size_t first, size_t count) {
  size_t next = first + 1;
  while (next < count && same_topic(version, &items[first], &items[next]))
    next++;
  return next - first;
}

static void write_item(gather *g, const tsh_produce_item *item) {
  bool compact = g->version >= FLEXIBLE;
  size_t size = item->head.iov_len + item->body.iov_len;
  tsh_out_i32(&g->glue, item->partition);
  tsh_out_count(&g->glue, (int64_t)size, compact, false);
  end_glue(g);
  add_part(g, item->head.iov_base, item->head.iov_len);
  add_part(g, item->body.iov_base, item->body.iov_len);
  tsh_out_no_tags(&g->glue, compact);
}

static void write_request(gather *g, const char *transactional_id,
                          int32_t timeout_ms, const tsh_produce_item *items,
                          size_t count) {
  bool compact = g->version >= FLEXIBLE;
  tsh_text id = {transactional_id,
                 transactional_id ? strlen(transactional_id) : 0};
  int64_t topics = 0;
  for (size_t i = 0; i < count; i += run_of(g->version, items, i, count))
    topics++;
  tsh_out_text(&g->glue, id, compact);
  tsh_out_i16(&g->glue, ACKS_ALL);
  tsh_out_i32(&g->glue, timeout_ms);
  tsh_out_count(&g->glue, topics, compact, false);
  for (size_t i = 0, run; i < count; i += run) {
    run = run_of(g->version, items, i, count);
    if (g->version >= WITH_IDS)
      tsh_out_raw(&g->glue, items[i].topic_id, sizeof items[i].topic_id);
    else
      tsh_out_text(&g->glue, items[i].topic, compact);
    tsh_out_count(&g->glue, (int64_t)run, compact, false);
    for (size_t j = i; j < i + run; j++)
      write_item(g, &items[j]);
    tsh_out_no_tags(&g->glue, compact);
  }
  tsh_out_no_tags(&g->glue, compact);
  end_glue(g);
}

int tsh_produce_encode(int16_t version, const char *transactional_id,
                       int32_t timeout_ms, const tsh_produce_item *items,
                       size_t count, tsh_gather *out, tsh_err *err) {
  gather g = {.version = version};
  *out = (tsh_gather){0};
  if (version < OLDEST || version > WITH_IDS)
    return tsh_err_set(err, TSH_INVALID, "wire", 0, "Produce v%d is not built",
                       version);
  write_request(&g, transactional_id, timeout_ms, items, count);
  size_t list = (size_t)g.count * sizeof *out->parts;
  out->block = malloc(list + g.glue.size);
  if (!out->block)
    return tsh_err_set(err, TSH_NO_MEMORY, "wire", 0,
                       "no memory for a Produce of %zu batches", count);
  uint8_t *glue = (uint8_t *)out->block + list;
  g = (gather){
      .version = version, .parts = out->block, .cut = glue, .glue = {glue, 0}};
  write_request(&g, transactional_id, timeout_ms, items, count);
  out->parts = g.parts;
  out->count = g.count;
  out->size = g.size;
  return 0;
}

void tsh_gather_free(tsh_gather *out) {
  free(out->block);
  *out = (tsh_gather){0};
}

/* --- the answer ---------------------------------------------------------- */

static int broken(const char *where, tsh_err *err) {
  return tsh_err_set(err, TSH_PROTOCOL, "wire", 0,
                     "Produce response breaks off in %s", where);
}

int tsh_produce_open(tsh_produce_iter *iter, int16_t version, const void *data,
                     size_t size, tsh_err *err) {
  tsh_in in = tsh_in_of(data, size);
  *iter = (tsh_produce_iter){.compact = version >= FLEXIBLE,
                             .with_ids = version >= WITH_IDS};
  if (version < OLDEST || version > WITH_IDS)
    return tsh_err_set(err, TSH_INVALID, "wire", 0, "Produce v%d is not built",
                       version);
  iter->topics = tsh_in_count(&in, version >= FLEXIBLE, false);
  if (in.bad || iter->topics < 0)
    return broken("its head", err);
  iter->at = in.at;
  iter->end = in.end;
  return 0;
}

static void read_tags(tsh_in *in, tsh_produced *out) {
  uint32_t left = tsh_in_uvarint(in), tag;
  tsh_in field;
  while (tsh_in_tag(in, &left, &tag, &field)) {
    if (tag != TAG_LEADER)
      continue;
    out->leader_id = tsh_in_i32(&field);
    out->leader_epoch = tsh_in_i32(&field);
    in->bad |= field.bad;
  }
}

/* Refused records: the first one's index, and its text if there is no other. */
static tsh_text read_refusals(tsh_in *in, bool compact, tsh_produced *out) {
  int64_t count = tsh_in_count(in, compact, false);
  tsh_text first = {NULL, 0};
  for (int64_t i = 0; i < count && !in->bad; i++) {
    int32_t index = tsh_in_i32(in);
    tsh_text text = tsh_in_text(in, compact);
    if (compact)
      tsh_in_skip_tags(in);
    if (i > 0)
      continue;
    out->bad_record = index;
    first = text;
  }
  return first;
}

static void read_partition(tsh_in *in, bool compact, tsh_produced *out) {
  out->partition = tsh_in_i32(in);
  out->error = tsh_in_i16(in);
  out->base_offset = tsh_in_i64(in);
  out->append_time = tsh_in_i64(in);
  out->log_start = tsh_in_i64(in);
  tsh_text first = read_refusals(in, compact, out);
  out->text = tsh_in_text(in, compact);
  if (!out->text.data)
    out->text = first;
  if (compact)
    read_tags(in, out);
}

int tsh_produce_next(tsh_produce_iter *iter, tsh_produced *out, tsh_err *err) {
  bool compact = iter->compact;
  tsh_in in = tsh_in_of(iter->at, (size_t)(iter->end - iter->at));
  tsh_in_next_topic(&in, iter);
  if (in.bad)
    return broken("a topic", err);
  if (iter->parts == 0)
    return 0;
  *out = (tsh_produced){.topic = iter->topic,
                        .topic_id = iter->topic_id,
                        .bad_record = -1,
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
