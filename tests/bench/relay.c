/* What it costs to carry bytes from one socket of this machine to another and
 * nothing else: the floor under every mirror here.
 *   relay FILE PIECE
 * One process serves FILE the way a broker serves its log (sendfile), one takes
 * what it is sent, and between them stands what is measured: it reads PIECE
 * bytes at a time, woken up when they are there, and writes them. 2 GB a round;
 * the median of three. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 3, SOCKET_BUFFER = 1 << 20, LATEST_WAKE = 256 << 10 };
static const long long TOTAL = 2000000000;

typedef struct result {
  double mb_s, cpu_gb;
} result;

static void must(int holds, const char *what) {
  if (holds)
    return;
  perror(what);
  exit(1);
}

static int listening(struct sockaddr_in *at) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  socklen_t size = sizeof *at;
  *at = (struct sockaddr_in){.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  must(bind(fd, (struct sockaddr *)at, size) == 0 && listen(fd, 1) == 0 &&
           getsockname(fd, (struct sockaddr *)at, &size) == 0,
       "listen");
  return fd;
}

static void size_buffers(int fd) {
  int size = SOCKET_BUFFER, on = 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int connected(const struct sockaddr_in *to) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  size_buffers(fd);
  must(connect(fd, (const struct sockaddr *)to, sizeof *to) == 0, "connect");
  return fd;
}

static void serve(int listener, const char *path) {
  struct stat file;
  int from = open(path, O_RDONLY), to = accept(listener, NULL, NULL);
  must(from >= 0 && to >= 0 && fstat(from, &file) == 0, path);
  size_buffers(to);
  off_t at = 0;
  for (long long left = TOTAL; left > 0;) {
    size_t most = (size_t)(file.st_size - at);
    ssize_t sent =
        sendfile(to, from, &at, most < (size_t)left ? most : (size_t)left);
    must(sent > 0, "sendfile");
    left -= sent;
    at = at == file.st_size ? 0 : at;
  }
  exit(0);
}

static void swallow(int listener) {
  static char bytes[1 << 20];
  int from = accept(listener, NULL, NULL);
  long long got = 0;
  size_buffers(from);
  for (ssize_t n; (n = read(from, bytes, sizeof bytes)) > 0;)
    got += n;
  exit(got == TOTAL ? 0 : 1);
}

static void carry(int from, int to, char *piece, size_t size) {
  int mark = (int)(size < LATEST_WAKE ? size : LATEST_WAKE);
  setsockopt(from, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark);
  for (long long left = TOTAL; left > 0;) {
    size_t want = left < (long long)size ? (size_t)left : size, got = 0,
           put = 0;
    for (ssize_t n; got < want; got += (size_t)n)
      must((n = read(from, piece + got, want - got)) > 0, "read");
    for (ssize_t n; put < want; put += (size_t)n)
      must((n = write(to, piece + put, want - put)) > 0, "write");
    left -= (long long)want;
  }
}

static double cpu(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static result run(const char *path, char *piece, size_t size) {
  struct sockaddr_in source, target;
  int from = listening(&source), to = listening(&target), status;
  pid_t server = fork();
  if (server == 0)
    serve(from, path);
  pid_t sink = server > 0 ? fork() : -1;
  if (sink == 0)
    swallow(to);
  must(sink > 0, "fork");
  int in = connected(&source), out = connected(&target);
  double cpu_before = cpu(), begin = now();
  carry(in, out, piece, size);
  shutdown(out, SHUT_WR);
  must(waitpid(sink, &status, 0) == sink && status == 0, "the taker");
  result done = {(double)TOTAL / (now() - begin) / 1e6,
                 (cpu() - cpu_before) / ((double)TOTAL / 1e9)};
  waitpid(server, &status, 0);
  close(in);
  close(out);
  close(from);
  close(to);
  return done;
}

static int by_cpu(const void *a, const void *b) {
  double x = ((const result *)a)->cpu_gb;
  double y = ((const result *)b)->cpu_gb;
  return (x > y) - (x < y);
}

int main(int count, char **words) {
  long size = count == 3 ? atol(words[2]) : 0;
  if (size <= 0) {
    fprintf(stderr, "usage: relay FILE PIECE\n");
    return 2;
  }
  char *piece = malloc((size_t)size);
  must(piece != NULL, "malloc");
  result rounds[ROUNDS];
  for (int i = 0; i < ROUNDS; i++)
    rounds[i] = run(words[1], piece, (size_t)size);
  qsort(rounds, ROUNDS, sizeof rounds[0], by_cpu);
  printf("relay      bare, in pieces of %-7ld           %6.1f MB/s  %5.2f CPU "
         "s/GB\n",
         size, rounds[ROUNDS / 2].mb_s, rounds[ROUNDS / 2].cpu_gb);
  free(piece);
  return 0;
}
