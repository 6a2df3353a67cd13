/* Fuzzing of everything that reads a broker's bytes: the table's decoder in
 * both directions, and the fast paths of Fetch and Produce.
 *
 * The first three bytes choose message, version and direction; the rest is the
 * body. Whatever it holds, a decoder gives 0 or TSH_PROTOCOL, and every byte
 * that it points to can be read. */
#include <stdlib.h>
#include <string.h>

#include "tranship/proto.h"

static void need(int is_true) {
  if (!is_true)
    abort();
}

static volatile unsigned sum;

static void touch(const void *bytes, size_t size) {
  const unsigned char *at = bytes;
  for (size_t i = 0; i < size; i++)
    sum = sum + at[i];
}

static void on_value(void *user, const tsh_field *field,
                     const tsh_value *value) {
  (void)user;
  need(field != NULL);
  if (value->bytes.data)
    touch(value->bytes.data, value->bytes.size);
}

static void by_table(const tsh_message *msg, int16_t version, bool response,
                     const uint8_t *body, size_t size) {
  const tsh_visitor visitor = {.value = on_value};
  int status =
      tsh_message_decode(msg, response, version, body, size, &visitor, NULL);
  need(status == 0 || status == TSH_PROTOCOL);
}

static void as_fetch(int16_t version, uint8_t *body, size_t size) {
  tsh_fetch_iter iter;
  tsh_fetched f;
  int16_t error;
  int64_t id, first;
  int status = tsh_fetch_open(&iter, version, body, size, &error, NULL);
  need(status == 0 || status == TSH_PROTOCOL);
  while (status == 0 && (status = tsh_fetch_next(&iter, &f, NULL)) == 1) {
    touch(f.records, f.records_size);
    while (tsh_fetched_aborted(&f, &id, &first))
      sum = sum + (unsigned)id;
    status = 0;
    if (iter.topics == 0 && iter.parts == 0)
      break;
  }
  need(status == 0 || status == TSH_PROTOCOL);
}

static void as_produce(int16_t version, const uint8_t *body, size_t size) {
  tsh_produce_iter iter;
  tsh_produced p;
  int status = tsh_produce_open(&iter, version, body, size, NULL);
  need(status == 0 || status == TSH_PROTOCOL);
  while (status == 0 && (status = tsh_produce_next(&iter, &p, NULL)) == 1) {
    touch(p.text.data, p.text.size);
    status = 0;
    if (iter.topics == 0 && iter.parts == 0)
      break;
  }
  need(status == 0 || status == TSH_PROTOCOL);
}

/* The answers of proto_aside.c. */
static void as_small(int16_t api_key, const uint8_t *body, size_t size) {
  tsh_topic_walk walk;
  tsh_log_end found;
  tsh_txn_ended ended;
  int16_t error;
  int status = 0;
  if (api_key == TSH_API_ADD_PARTITIONS_TO_TXN) {
    status = tsh_txn_begin_decode(body, size, &error, NULL);
  } else if (api_key == TSH_API_END_TXN) {
    status = tsh_txn_end_decode(body, size, &ended, NULL);
  } else if (api_key == TSH_API_LIST_OFFSETS) {
    status = tsh_log_ends_open(&walk, body, size, NULL);
    while (status == 0 &&
           (status = tsh_log_ends_next(&walk, &found, NULL)) == 1) {
      touch(found.topic.data, found.topic.size);
      status = 0;
      if (walk.topics == 0 && walk.parts == 0)
        break;
    }
  }
  need(status == 0 || status == TSH_PROTOCOL);
}

static const tsh_message *pick(uint8_t n) {
  size_t count = 0;
  while (tsh_message_at(count))
    count++;
  return tsh_message_at(n % count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 3)
    return 0;
  const tsh_message *msg = pick(data[0]);
  int16_t version = (int16_t)(msg->min + data[1] % (msg->max - msg->min + 1));
  uint8_t *body = malloc(size - 3 ? size - 3 : 1); /* no byte beyond */
  need(body != NULL);
  memcpy(body, data + 3, size - 3);
  by_table(msg, version, data[2] & 1, body, size - 3);
  as_small(msg->api_key, body, size - 3);
  sum = sum + tsh_throttle_of(msg->api_key, version, body, size - 3);
  if (msg->api_key == TSH_API_FETCH && version >= 11 && version <= 13)
    as_fetch(version, body, size - 3);
  if (msg->api_key == TSH_API_PRODUCE && version >= 8)
    as_produce(version, body, size - 3);
  free(body);
  return 0;
}
