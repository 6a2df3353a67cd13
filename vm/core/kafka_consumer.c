/* Readers: stated ranges of stated partitions, without a group.
 *
 * The first read looks whether the partitions are there (librdkafka would wait
 * for a topic to appear) and starts fetching.
 *
 * librdkafka's plain consumer puts the messages of all partitions into one
 * queue. A read takes from it what is there and belongs to a range. A range is
 * over when its `to` is reached, by a message or by the end of the log (the
 * last offsets may hold no readable record). */
#include <string.h>

#include "kafka_int.h"

typedef struct range {
  rd_kafka_topic_t *topic;
  int32_t partition;
  int64_t next, to; /* to: INT64_MAX when it has none */
  bool fetched, over;
} range;

struct kafka_reader {
  rd_kafka_queue_t *messages;
  tsh_pool *pool; /* of the ranges */
  range *ranges;
  size_t count;
  bool started;
};

/* What one read hands out: the texts in its answer are these messages'. */
typedef struct batch {
  size_t want, got;
  rd_kafka_message_t *message[];
} batch;

enum { MOST_PER_READ = 100000, USUAL_PER_READ = 1000 };

int tsh_kafka__reader_conf(rd_kafka_conf_t *conf, const tsh_data *args,
                           tsh_err *err) {
  const char *isolation = tsh_data_text(args, "isolation", "committed");
  bool committed = strcmp(isolation, "committed") == 0;
  if (!committed && strcmp(isolation, "uncommitted") != 0)
    return tsh_kafka__invalid(err,
                              "isolation is \"committed\" or \"uncommitted\"");
  const char *const settings[][2] = {
      {"isolation.level", committed ? "read_committed" : "read_uncommitted"},
      {"auto.offset.reset", "error"},
      {"enable.partition.eof", "true"},
      {"check.crcs", "true"},
      {"fetch.wait.max.ms", "100"},
      {"queued.max.messages.kbytes", "16384"},
  };
  int status = 0;
  for (size_t i = 0; !status && i < sizeof settings / sizeof *settings; i++)
    status = tsh_kafka__set(conf, settings[i][0], settings[i][1], err);
  int64_t max_bytes = tsh_data_number(args, "max_bytes", 0);
  if (!status && max_bytes > 0) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)max_bytes);
    status = tsh_kafka__set(conf, "max.partition.fetch.bytes", text, err);
  }
  return status;
}

/* The start of a range: an offset, or a word. */
static int64_t from_of(const tsh_data *item) {
  const tsh_data *from = tsh_data_get(item, "from");
  if (!from || from->kind == TSH_DATA_NUMBER)
    return from ? from->as.number : RD_KAFKA_OFFSET_BEGINNING;
  if (from->kind != TSH_DATA_TEXT)
    return RD_KAFKA_OFFSET_INVALID;
  return strcmp(from->as.text.bytes, "start") == 0 ? RD_KAFKA_OFFSET_BEGINNING
         : strcmp(from->as.text.bytes, "end") == 0 ? RD_KAFKA_OFFSET_END
                                                   : RD_KAFKA_OFFSET_INVALID;
}

static int read_range(tsh_kafka *kafka, const tsh_data *item, tsh_err *err) {
  kafka_reader *reader = kafka->reader;
  const char *topic = tsh_data_text(item, "topic", NULL);
  int64_t partition = tsh_data_number(item, "partition", -1);
  int64_t from = from_of(item);
  if (!topic || partition < 0 || partition > INT32_MAX ||
      (from < 0 && from != RD_KAFKA_OFFSET_BEGINNING &&
       from != RD_KAFKA_OFFSET_END))
    return tsh_kafka__invalid(
        err, "a range needs a topic, a partition and where it starts");
  range *one = &reader->ranges[reader->count];
  one->partition = (int32_t)partition;
  one->next = from;
  one->to = tsh_data_number(item, "to", INT64_MAX);
  one->over = from >= 0 && from >= one->to;
  one->topic = rd_kafka_topic_new(kafka->rk, topic, NULL);
  if (!one->topic)
    return tsh_kafka__fail(err, rd_kafka_last_error(), topic);
  reader->count++;
  return 0;
}

static int start_ranges(kafka_reader *reader, tsh_err *err) {
  reader->started = true;
  for (size_t i = 0; i < reader->count; i++) {
    range *one = &reader->ranges[i];
    if (one->over)
      continue;
    if (rd_kafka_consume_start_queue(one->topic, one->partition, one->next,
                                     reader->messages))
      return tsh_kafka__fail(err, rd_kafka_last_error(),
                             rd_kafka_topic_name(one->topic));
    one->fetched = true;
  }
  return 0;
}

static bool is_twice(const tsh_data *items, const tsh_data *item) {
  for (const tsh_data *other = tsh_data_first(items); other != item;
       other = other->next)
    if (tsh_data_number(other, "partition", -1) ==
            tsh_data_number(item, "partition", -2) &&
        strcmp(tsh_data_text(other, "topic", ""),
               tsh_data_text(item, "topic", "")) == 0)
      return true;
  return false;
}

int tsh_kafka__reader_open(tsh_kafka *kafka, const tsh_data *args,
                           tsh_err *err) {
  const tsh_data *items = tsh_data_get(args, "partitions");
  kafka_reader *reader = calloc(1, sizeof *reader);
  kafka->reader = reader;
  if (!reader || !(reader->pool = tsh_pool_new()))
    return tsh_err_set(err, TSH_NO_MEMORY, "kafka", 0, "no memory");
  reader->messages = rd_kafka_queue_new(kafka->rk);
  tsh_kafka__hook(reader->messages, kafka->bell);
  reader->ranges = tsh_pool_alloc(reader->pool, (tsh_data_count(items) + 1) *
                                                    sizeof *reader->ranges);
  if (!reader->ranges)
    return TSH_NO_MEMORY;
  TSH_DATA_EACH(item, items) {
    if (is_twice(items, item))
      return tsh_kafka__invalid(err, "a partition is named twice");
    int status = read_range(kafka, item, err);
    if (status)
      return status;
  }
  return 0;
}

void tsh_kafka__reader_close(tsh_kafka *kafka) {
  if (kafka->reader && kafka->reader->messages)
    tsh_kafka__unhook(kafka->reader->messages);
}

void tsh_kafka__reader_destroy(tsh_kafka *kafka) {
  kafka_reader *reader = kafka->reader;
  if (!reader)
    return;
  for (size_t i = 0; i < reader->count; i++) {
    rd_kafka_consume_stop(reader->ranges[i].topic, reader->ranges[i].partition);
    rd_kafka_topic_destroy(reader->ranges[i].topic);
  }
  if (reader->messages)
    rd_kafka_queue_destroy(reader->messages);
  tsh_pool_free(reader->pool);
  free(reader);
}

/* read(max) */

static void release_batch(kafka_req *req) {
  batch *taken = req->state;
  for (size_t i = 0; taken && i < taken->got; i++)
    rd_kafka_message_destroy(taken->message[i]);
}

static int look_up(kafka_req *req) {
  kafka_reader *reader = req->kafka->reader;
  const char **names = tsh_kafka__array(req, reader->count, sizeof *names);
  size_t count = 0;
  for (size_t i = 0; names && i < reader->count; i++) {
    const char *name = rd_kafka_topic_name(reader->ranges[i].topic);
    size_t k = 0;
    while (k < count && strcmp(names[k], name) != 0)
      k++;
    if (k == count)
      names[count++] = name;
  }
  if (!names)
    return TSH_NO_MEMORY;
  rd_kafka_TopicCollection_t *topics =
      rd_kafka_TopicCollection_of_topic_names(names, count);
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
  rd_kafka_DescribeTopics(req->kafka->rk, topics, options, req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_TopicCollection_destroy(topics);
  return KAFKA_MORE;
}

static int check_there(const kafka_reader *reader,
                       const rd_kafka_TopicDescription_t *topic, tsh_err *err) {
  const char *name = rd_kafka_TopicDescription_name(topic);
  const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(topic);
  rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : 0;
  size_t count = 0;
  char text[320];
  if (!code)
    rd_kafka_TopicDescription_partitions(topic, &count);
  for (size_t i = 0; i < reader->count; i++) {
    const range *one = &reader->ranges[i];
    if (strcmp(rd_kafka_topic_name(one->topic), name) != 0 ||
        (!code && (size_t)one->partition < count))
      continue;
    snprintf(text, sizeof text, "%s [%d]", name, (int)one->partition);
    return tsh_kafka__fail(
        err, code ? code : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, text);
  }
  return 0;
}

int tsh_kafka__read_read(kafka_req *req, rd_kafka_event_t *event,
                         tsh_err *err) {
  kafka_reader *reader = req->kafka->reader;
  size_t count;
  const rd_kafka_TopicDescription_t **topics =
      rd_kafka_DescribeTopics_result_topics(
          rd_kafka_event_DescribeTopics_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    int status = check_there(reader, topics[i], err);
    if (status)
      return status;
  }
  int status = start_ranges(reader, err);
  return status ? status : KAFKA_MORE;
}

int tsh_kafka__read(kafka_req *req, tsh_err *err) {
  const tsh_data *max = tsh_data_at(req->args, 1);
  int64_t want =
      max && max->kind == TSH_DATA_NUMBER ? max->as.number : USUAL_PER_READ;
  if (want < 1 || want > MOST_PER_READ)
    return tsh_kafka__invalid(err, "read takes 1 to 100000 records at once");
  for (kafka_req *other = req->kafka->reqs; other; other = other->next)
    if (other != req && other->primitive == req->primitive)
      return tsh_err_set(err, TSH_CONFLICT, "kafka", 0,
                         "another read of this reader waits already");
  batch *taken = tsh_kafka__array(
      req, 1, sizeof *taken + (size_t)want * sizeof *taken->message);
  if (!taken)
    return TSH_NO_MEMORY;
  taken->want = (size_t)want;
  req->state = taken;
  req->release = release_batch;
  if (req->kafka->reader->count && !req->kafka->reader->started)
    return look_up(req);
  tsh_bell_ring(req->kafka->bell);
  return KAFKA_MORE;
}

static range *range_of(kafka_reader *reader, const rd_kafka_message_t *m) {
  for (size_t i = 0; i < reader->count; i++)
    if (reader->ranges[i].topic == m->rkt &&
        reader->ranges[i].partition == m->partition)
      return &reader->ranges[i];
  return NULL;
}

/* Nothing more is wanted from there: at the end little comes. */
static void end_range(range *one) {
  one->over = true;
  rd_kafka_seek(one->topic, one->partition, RD_KAFKA_OFFSET_END, 0);
}

static bool all_over(const kafka_reader *reader) {
  for (size_t i = 0; i < reader->count; i++)
    if (!reader->ranges[i].over)
      return false;
  return true;
}

static void add_headers(kafka_req *req, tsh_data *to,
                        const rd_kafka_message_t *m) {
  rd_kafka_headers_t *headers;
  const char *name;
  const void *value;
  size_t size;
  tsh_data *list = tsh_data_add_table(req->pool, to, "headers");
  if (rd_kafka_message_headers(m, &headers))
    return;
  for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size);
       i++) {
    tsh_data *header = tsh_data_add_table(req->pool, list, NULL);
    tsh_data_add_text(req->pool, header, "name", name);
    tsh_data_add_bytes(req->pool, header, "value", value, size);
  }
}

static void add_record(kafka_req *req, const rd_kafka_message_t *m) {
  static const char *const types[] = {"none", "create", "append"};
  rd_kafka_timestamp_type_t type;
  int64_t timestamp = rd_kafka_message_timestamp(m, &type);
  tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
  tsh_data_add_text(req->pool, item, "topic", rd_kafka_topic_name(m->rkt));
  tsh_data_add_number(req->pool, item, "partition", m->partition);
  tsh_data_add_number(req->pool, item, "offset", m->offset);
  tsh_data_add_number(req->pool, item, "timestamp", timestamp);
  tsh_data_add_text(req->pool, item, "timestamp_type", types[type]);
  tsh_data_add_number(req->pool, item, "leader_epoch",
                      rd_kafka_message_leader_epoch(m));
  tsh_data_add_bytes(req->pool, item, "key", m->key, m->key_len);
  tsh_data_add_bytes(req->pool, item, "value", m->payload, m->len);
  add_headers(req, item, m);
}

/* Takes `m` into the answer, or notes what it says and destroys it.
 * Returns a status: an error ends the read. */
static int take(kafka_req *req, rd_kafka_message_t *m) {
  batch *taken = req->state;
  range *one = range_of(req->kafka->reader, m);
  int status = 0;
  if (!one || one->over) {
    ;
  } else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    one->next = m->offset;
    if (m->offset >= one->to)
      end_range(one);
  } else if (m->err) {
    char text[512];
    snprintf(text, sizeof text, "%s [%d]: %s", rd_kafka_topic_name(one->topic),
             (int)one->partition, rd_kafka_message_errstr(m));
    status = tsh_kafka__fail(&req->pub.op.err, m->err, text);
  } else if (m->offset >= one->to) {
    one->next = one->to;
    end_range(one);
  } else {
    one->next = m->offset + 1;
    taken->message[taken->got++] = m;
    add_record(req, m);
    if (one->next >= one->to)
      end_range(one);
    return 0;
  }
  rd_kafka_message_destroy(m);
  return status;
}

void tsh_kafka__reader_serve(tsh_kafka *kafka) {
  kafka_req *req = kafka->reqs;
  while (req && req->primitive->start != tsh_kafka__read)
    req = req->next;
  if (!req || (kafka->reader->count && !kafka->reader->started))
    return;
  batch *taken = req->state;
  int status = 0;
  while (!status && taken->got < taken->want) {
    rd_kafka_message_t *m;
    if (rd_kafka_consume_batch_queue(kafka->reader->messages, 0, &m, 1) != 1)
      break;
    status = take(req, m);
  }
  if (status && taken->got) { /* the records first; the error again later */
    memset(&req->pub.op.err, 0, sizeof req->pub.op.err);
    status = 0;
  }
  if (status || taken->got || all_over(kafka->reader))
    tsh_kafka__finish(req, status);
}

/* position() -> {{topic, partition, next, over}} */

int tsh_kafka__position(kafka_req *req, tsh_err *err) {
  (void)err;
  kafka_reader *reader = req->kafka->reader;
  for (size_t i = 0; i < reader->count; i++) {
    const range *one = &reader->ranges[i];
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_data_add_text(req->pool, item, "topic",
                      rd_kafka_topic_name(one->topic));
    tsh_data_add_number(req->pool, item, "partition", one->partition);
    if (one->next >= 0)
      tsh_data_add_number(req->pool, item, "next", one->next);
    tsh_data_add_flag(req->pool, item, "over", one->over);
  }
  return 0;
}
