/*
 * A wall clock that a test can step, for one program:
 *   LD_PRELOAD=stepped.so STEPPED_CLOCK=FILE program
 * adds the seconds that FILE holds now to what the wall clock says. Monotonic
 * clocks stay as they are; so does timespec_get, from which librdkafka computes
 * the moments until which the kernel lets it sleep by its own clock.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic long long known;

/* While the file is being written it is empty for a moment. */
static long long step(void) {
  char text[24] = "";
  const char *path = getenv("STEPPED_CLOCK");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd >= 0 && read(fd, text, sizeof text - 1) > 0)
    known = strtoll(text, NULL, 10);
  if (fd >= 0)
    close(fd);
  return known;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int status = (int)syscall(SYS_clock_gettime, clock, now);
  if (status == 0 &&
      (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += step();
  return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec precise;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out)
    *out = now.tv_sec;
  return now.tv_sec;
}
