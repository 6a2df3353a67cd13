/*
 * Bad weather between two programs: a TCP proxy on loopback.
 *   proxy PORT     forwards to 127.0.0.1:PORT, prints the port it listens on
 * and obeys lines on stdin until that ends:
 *   pass           forward everything, at once
 *   slow BYTES     forward so many bytes a second, each way and connection
 *   lose BYTES     reset a connection after so many bytes from its client
 *   hold           forward nothing; connections stay open and new ones wait
 *   freeze         forward nothing ever again on those that are open now
 *   cut            close those that are open now, in the middle of anything
 *   reset          the same, with a reset
 *   refuse         reset new ones at once, too, until another line comes
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 256, BUFFER = 64 << 10, TICK_MS = 10 };

/* What one end has sent and the other has not got yet. */
struct pipe {
  size_t start, end;
  bool ended; /* the sender has closed its side */
  uint8_t bytes[BUFFER];
};

struct link {
  int fd[2]; /* client, server */
  struct pipe pipe[2];
  double allowed[2]; /* bytes that may go now, while slow */
  size_t passed;     /* from the client */
  bool frozen;
};

static struct link *links[MOST];
static int listener, target_port, paused;
static double slow, lose;
static bool refusing;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void shut(int fd, bool reset) {
  struct linger linger = {1, 0};
  if (reset)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(fd);
}

static void end_link(int at, bool reset) {
  shut(links[at]->fd[0], reset);
  shut(links[at]->fd[1], reset);
  free(links[at]);
  links[at] = NULL;
}

static void end_all(bool reset) {
  for (int i = 0; i < MOST; i++)
    if (links[i])
      end_link(i, reset);
}

static void set_up(int fd) {
  int one = 1;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void accept_one(void) {
  int client = accept(listener, NULL, NULL), at = 0;
  if (client < 0)
    return;
  struct sockaddr_in address = loopback(target_port);
  int server = socket(AF_INET, SOCK_STREAM, 0);
  while (at < MOST && links[at])
    at++;
  if (refusing || at == MOST || server < 0 ||
      connect(server, (struct sockaddr *)&address, sizeof address) != 0) {
    shut(client, true);
    if (server >= 0)
      close(server);
    return;
  }
  links[at] = calloc(1, sizeof *links[at]);
  if (!links[at])
    fail("calloc");
  links[at]->fd[0] = client;
  links[at]->fd[1] = server;
  set_up(client);
  set_up(server);
}

/* Reads what `side` has sent. False: the connection is over. */
static bool fill(struct link *link, int side) {
  struct pipe *pipe = &link->pipe[side];
  if (pipe->start == pipe->end)
    pipe->start = pipe->end = 0;
  if (pipe->end == BUFFER)
    return true;
  ssize_t got =
      read(link->fd[side], pipe->bytes + pipe->end, BUFFER - pipe->end);
  if (got > 0)
    pipe->end += (size_t)got;
  if (got > 0 && side == 0)
    link->passed += (size_t)got;
  if (got == 0)
    pipe->ended = true;
  return got >= 0 || errno == EAGAIN;
}

static bool drain(struct link *link, int side) {
  struct pipe *pipe = &link->pipe[side];
  size_t left = pipe->end - pipe->start;
  if (slow > 0 && (double)left > link->allowed[side])
    left = (size_t)link->allowed[side];
  if (left == 0)
    return true;
  ssize_t put = write(link->fd[!side], pipe->bytes + pipe->start, left);
  if (put > 0) {
    pipe->start += (size_t)put;
    link->allowed[side] -= (double)put;
  }
  return put >= 0 || errno == EAGAIN;
}

/* One turn of one connection. False: it is over. */
static bool serve(struct link *link) {
  for (int side = 0; side < 2; side++) {
    struct pipe *pipe = &link->pipe[side];
    if (!pipe->ended && !fill(link, side))
      return false;
    if (!drain(link, side))
      return false;
    if (pipe->ended && pipe->start == pipe->end)
      return false;
  }
  return lose <= 0 || (double)link->passed < lose;
}

static void obey(char *line) {
  double number = 0;
  char word[16] = "";
  if (sscanf(line, "%15s %lf", word, &number) < 1)
    return;
  slow = strcmp(word, "slow") == 0 ? number : 0;
  lose = strcmp(word, "lose") == 0 ? number : 0;
  paused = strcmp(word, "hold") == 0;
  refusing = strcmp(word, "refuse") == 0;
  for (int i = 0; i < MOST; i++) {
    if (!links[i])
      continue;
    links[i]->passed = 0;
    links[i]->frozen |= strcmp(word, "freeze") == 0;
  }
  if (refusing || strcmp(word, "cut") == 0 || strcmp(word, "reset") == 0)
    end_all(strcmp(word, "cut") != 0);
  printf("%s\n", word);
  fflush(stdout);
}

/* Lines come whole: they are short and written at once. */
static void listen_to_orders(void) {
  char text[256];
  ssize_t got = read(0, text, sizeof text - 1);
  if (got <= 0)
    exit(0);
  text[got] = 0;
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
    obey(line);
}

/* The sockets worth waiting for; links with something to send are looked at
 * again after a tick. */
static void wait_for_news(void) {
  struct pollfd set[2 + 2 * MOST] = {{0, POLLIN, 0}, {listener, POLLIN, 0}};
  nfds_t count = 2;
  for (int i = 0; i < MOST; i++)
    for (int side = 0; side < 2; side++)
      if (links[i] && !links[i]->frozen && !paused && slow <= 0 &&
          !links[i]->pipe[side].ended)
        set[count++] = (struct pollfd){links[i]->fd[side], POLLIN, 0};
  poll(set, count, TICK_MS);
  if (set[0].revents)
    listen_to_orders();
  if (set[1].revents)
    accept_one();
}

static void turn(void) {
  for (int i = 0; i < MOST; i++) {
    if (!links[i] || links[i]->frozen || paused)
      continue;
    for (int side = 0; side < 2; side++)
      if (links[i]->allowed[side] < slow / 10)
        links[i]->allowed[side] += slow * TICK_MS / 1000;
    if (!serve(links[i]))
      end_link(i, lose > 0);
  }
}

int main(int argc, char **argv) {
  struct sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  target_port = argc == 2 ? atoi(argv[1]) : 0;
  if (target_port <= 0) {
    fprintf(stderr, "usage: proxy PORT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0 ||
      bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
      listen(listener, 64) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) != 0)
    fail("listen");
  fcntl(listener, F_SETFL, O_NONBLOCK);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    wait_for_news();
    turn();
  }
}
