/*
 * Greets: writes numbered greetings at a steady rate until told to stop, then
 * finishes what is in flight. A later start goes on with the next number, which
 * it finds in its trail; numbers that a killed start may have used are left
 * out.
 */
#include "app.h"
#include "trail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  TICK_MS = 10,
  RESERVE = 1000, /* numbers claimed at a time */
  FLUSH_MS = 30000,
  FAMILIES = 6,
};

static const char *const families[FAMILIES] = {
    "Hello", "Hola", "Bonjour", "Guten Tag", "Konnichiwa", "Ciao",
};

struct producer {
  const struct options *options;
  rd_kafka_t *rk;
  struct trail *trail;
  int64_t next;     /* number of the next greeting */
  int64_t reserved; /* numbers below this are claimed in the trail */
  long failed;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message,
                        void *opaque) {
  struct producer *self = opaque;
  struct stamp *stamp = message->_private;
  (void)rk;
  if (message->err) {
    self->failed++;
    fprintf(stderr, "producer: %s %" PRId64 " not acknowledged: %s\n",
            stamp->key, stamp->seq, rd_kafka_err2str(message->err));
  } else {
    trail_record(self->trail, "wrote", rd_kafka_topic_name(message->rkt),
                 message->partition, message->offset, stamp);
  }
  free(stamp);
}

/* The claim is on disk before any of its numbers is used. */
static void reserve(struct producer *self) {
  if (self->next < self->reserved)
    return;
  self->reserved = self->next + RESERVE;
  trail_line(self->trail, "reserve %" PRId64, self->reserved);
  trail_flush(self->trail);
}

static rd_kafka_headers_t *headers_of(int64_t seq, int64_t number) {
  rd_kafka_headers_t *headers = rd_kafka_headers_new(4);
  char text[24];
  uint64_t trace = digest_number(digest_start(), number);
  int size = snprintf(text, sizeof text, "%" PRId64, seq);
  rd_kafka_header_add(headers, "seq", -1, text, size);
  rd_kafka_header_add(headers, "app", -1, "hello-world-producer", -1);
  rd_kafka_header_add(headers, "trace", -1, &trace, sizeof trace);
  rd_kafka_header_add(headers, "nothing", -1, NULL, 0);
  return headers;
}

static void greet(struct producer *self) {
  int64_t number = self->next, seq = number / self->options->keys;
  int64_t timestamp = app_wall_ms();
  char key[24], value[128];
  reserve(self);
  int key_size =
      snprintf(key, sizeof key, "guest-%" PRId64, number % self->options->keys);
  int size = snprintf(value, sizeof value,
                      "%s, %s! This is greeting number %" PRId64 " to you.",
                      families[number % FAMILIES], key, seq);
  rd_kafka_headers_t *headers = headers_of(seq, number);
  struct stamp *stamp = malloc(sizeof *stamp);
  if (!stamp)
    app_die("out of memory");
  record_stamp(stamp, key, (size_t)key_size, value, (size_t)size, headers,
               timestamp);
  rd_kafka_resp_err_t why;
  while ((why = rd_kafka_producev(self->rk, RD_KAFKA_V_TOPIC(self->options->to),
                                  RD_KAFKA_V_KEY(key, (size_t)key_size),
                                  RD_KAFKA_V_VALUE(value, (size_t)size),
                                  RD_KAFKA_V_HEADERS(headers),
                                  RD_KAFKA_V_TIMESTAMP(timestamp),
                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                  RD_KAFKA_V_OPAQUE(stamp), RD_KAFKA_V_END)) ==
         RD_KAFKA_RESP_ERR__QUEUE_FULL)
    rd_kafka_poll(self->rk, TICK_MS);
  if (why)
    app_die("%s", rd_kafka_err2str(why));
  self->next++;
}

/* How many records the rate owes since `began`; a stall is not made up for. */
static int64_t owed(int64_t rate, int64_t *began, int64_t sent) {
  int64_t due = (app_now_us() - *began) * rate / 1000000;
  if (due - sent <= rate / 2)
    return due - sent;
  *began = app_now_us() - sent * 1000000 / rate;
  return 0;
}

static void work(struct producer *self) {
  int64_t first = self->next, began = app_now_us();
  while (!app_stopping) {
    int64_t sent = self->next - first;
    int64_t now = owed(self->options->rate, &began, sent);
    for (; now > 0; now--) {
      if (self->options->records &&
          self->next - first == self->options->records)
        app_stopping = true;
      if (app_stopping)
        break;
      greet(self);
    }
    rd_kafka_poll(self->rk, TICK_MS);
    trail_flush(self->trail);
  }
}

int main(int argc, char **argv) {
  struct options options = {.app = "producer",
                            .to = "apps.samples.greetings",
                            .rate = 2500,
                            .keys = 300};
  struct producer self = {.options = &options};
  app_options(&options, argc, argv);
  if (options.rate == 0 || options.keys == 0)
    app_die("--rate and --keys must not be 0");
  app_catch_signals();

  rd_kafka_conf_t *conf = app_conf(&options);
  app_set(conf, "enable.idempotence", "true");
  app_set(conf, "acks", "all");
  app_set(conf, "linger.ms", "5");
  app_set(conf, "compression.codec", "lz4");
  app_set(conf, "message.timeout.ms", "60000");
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_conf_set_opaque(conf, &self);
  self.next = self.reserved = trail_next(options.trail);
  self.trail = trail_open(options.trail, options.cluster);
  self.rk = app_open(RD_KAFKA_PRODUCER, conf);
  rd_kafka_topic_t *topic = app_learn(self.rk, options.to);
  trail_line(self.trail, "start producer %d", (int)getpid());

  work(&self);
  rd_kafka_flush(self.rk, FLUSH_MS);
  int left = rd_kafka_outq_len(self.rk);
  if (left == 0 && self.failed == 0) /* nothing above `next` was used */
    trail_line(self.trail, "reserve %" PRId64, self.next);
  trail_line(self.trail, "stop producer");
  trail_flush(self.trail);
  if (left)
    app_die("%d greetings were not acknowledged in time", left);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(self.rk);
  trail_close(self.trail);
  return self.failed ? 1 : 0;
}
