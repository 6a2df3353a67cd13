/* A TCP peer for the tests of wire: a thread that accepts one connection and
 * plays a script with blocking calls. */
#ifndef TRANSHIP_TEST_WIRE_PEER_H
#define TRANSHIP_TEST_WIRE_PEER_H

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct peer {
  int listener, fd;
  SSL *ssl; /* of the script's making, over fd; or NULL */
  uint16_t port;
  void (*script)(struct peer *peer);
  void *user;
  pthread_t thread;
} peer;

static inline void *peer_main(void *arg) {
  peer *p = arg;
  p->fd = accept(p->listener, NULL, NULL);
  if (p->fd >= 0) {
    p->script(p);
    if (p->ssl)
      SSL_free(p->ssl);
    if (p->fd >= 0)
      close(p->fd);
  }
  return NULL;
}

static inline void peer_start(peer *p, void (*script)(peer *), void *user) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t size = sizeof at;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  p->listener = socket(AF_INET, SOCK_STREAM, 0);
  if (p->listener < 0 || bind(p->listener, (void *)&at, sizeof at) != 0 ||
      listen(p->listener, 4) != 0 ||
      getsockname(p->listener, (void *)&at, &size) != 0)
    abort();
  p->port = ntohs(at.sin_port);
  p->ssl = NULL;
  p->script = script;
  p->user = user;
  if (pthread_create(&p->thread, NULL, peer_main, p) != 0)
    abort();
}

static inline void peer_stop(peer *p) {
  shutdown(p->listener, SHUT_RDWR);
  pthread_join(p->thread, NULL);
  close(p->listener);
}

/* Exactly n bytes, or false at the end of the stream. */
static inline int peer_read(peer *p, void *to, size_t n) {
  uint8_t *at = to;
  while (n > 0) {
    ssize_t got = p->ssl ? SSL_read(p->ssl, at, (int)n) : read(p->fd, at, n);
    if (got <= 0)
      return 0;
    at += got;
    n -= (size_t)got;
  }
  return 1;
}

static inline void peer_write(peer *p, const void *from, size_t n) {
  const uint8_t *at = from;
  while (n > 0) {
    ssize_t put = p->ssl ? SSL_write(p->ssl, at, (int)n)
                         : send(p->fd, at, n, MSG_NOSIGNAL);
    if (put <= 0)
      return;
    at += put;
    n -= (size_t)put;
  }
}

/* One request: its size field, then everything behind it. */
static inline uint8_t *peer_request(peer *p, uint32_t *size) {
  uint32_t raw;
  if (!peer_read(p, &raw, 4))
    return NULL;
  *size = ntohl(raw);
  uint8_t *bytes = malloc(*size);
  if (!bytes || !peer_read(p, bytes, *size)) {
    free(bytes);
    return NULL;
  }
  return bytes;
}

#endif
