/* A loopback HTTP peer that says what a script tells it to: one thread that
 * takes connections one after the other, reads a request's head (and body),
 * and writes bytes. */
#ifndef TRANSHIP_TEST_HTTP_PEER_H
#define TRANSHIP_TEST_HTTP_PEER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct http_peer {
  int listener, fd;
  uint16_t port;
  int connections, requests;
  char request[8192]; /* the last one's head */
  void (*answer)(struct http_peer *peer, int number);
  void *user;
  pthread_t thread;
} http_peer;

static inline void http_say(http_peer *p, const char *text) {
  size_t length = strlen(text), at = 0;

  while (p->fd >= 0 && at < length) {
    ssize_t n = send(p->fd, text + at, length - at, MSG_NOSIGNAL);

    if (n <= 0)
      return;
    at += (size_t)n;
  }
}

/* A reset, not an end. */
static inline void http_reset(http_peer *p) {
  struct linger hard = {.l_onoff = 1, .l_linger = 0};

  setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(p->fd);
  p->fd = -1;
}

static inline bool http_read_head(http_peer *p) {
  size_t length = 0;

  while (length < sizeof p->request - 1) {
    ssize_t n = recv(p->fd, p->request + length, 1, 0);

    if (n <= 0)
      return false;
    p->request[++length] = '\0';
    if (length >= 4 && memcmp(p->request + length - 4, "\r\n\r\n", 4) == 0)
      return true;
  }
  return false;
}

static inline bool http_read_body(http_peer *p) {
  const char *at = strstr(p->request, "Content-Length: ");
  long left =
      at != NULL ? strtol(at + strlen("Content-Length: "), NULL, 10) : 0;
  char bytes[256];

  while (left > 0) {
    size_t most = (size_t)left < sizeof bytes ? (size_t)left : sizeof bytes;
    ssize_t n = recv(p->fd, bytes, most, 0);

    if (n <= 0)
      return false;
    left -= n;
  }
  return true;
}

static inline void *http_peer_main(void *arg) {
  http_peer *p = arg;

  while ((p->fd = accept(p->listener, NULL, NULL)) >= 0) {
    p->connections++;
    while (p->fd >= 0 && http_read_head(p) && http_read_body(p))
      p->answer(p, p->requests++);
    if (p->fd >= 0)
      close(p->fd);
  }
  return NULL;
}

static inline void
http_peer_start(http_peer *p, void (*answer)(http_peer *, int), void *user) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t size = sizeof at;

  memset(p, 0, sizeof *p);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  p->listener = socket(AF_INET, SOCK_STREAM, 0);
  if (p->listener < 0 || bind(p->listener, (void *)&at, sizeof at) != 0 ||
      listen(p->listener, 8) != 0 ||
      getsockname(p->listener, (void *)&at, &size) != 0)
    abort();
  p->port = ntohs(at.sin_port);
  p->answer = answer;
  p->user = user;
  if (pthread_create(&p->thread, NULL, http_peer_main, p) != 0)
    abort();
}

static inline void http_peer_stop(http_peer *p) {
  shutdown(p->listener, SHUT_RDWR);
  pthread_join(p->thread, NULL);
  close(p->listener);
}

#endif
