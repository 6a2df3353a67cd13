/* Which worker has which flow: the owner's commands find their way by id.
 *
 * A route is made when a start is told and goes when that start has come to
 * its end. The same id may be started again before the first end is known
 * here; both count, and the second follows the first to its worker. */
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum { FIRST_ROUTES = 64 };

struct route {
  struct route *next;
  tsh_mirror *worker;
  size_t uses;
  char id[];
};

static size_t place(const shared *shared, const char *id) {
  return tsh_mirror__hash(id) & (shared->route_size - 1);
}

/* With an empty route table, or without such a route: where it would be. */
static route **find(shared *shared, const char *id) {
  route **at = &shared->routes[place(shared, id)];
  while (*at != NULL && strcmp((*at)->id, id) != 0)
    at = &(*at)->next;
  return at;
}

static bool grow(shared *shared) {
  if (shared->route_count < shared->route_size)
    return true;
  size_t old_size = shared->route_size;
  route **old = shared->routes;
  size_t size = old_size == 0 ? FIRST_ROUTES : 2 * old_size;
  route **table = calloc(size, sizeof *table);
  if (table == NULL)
    return false;
  shared->routes = table;
  shared->route_size = size;
  for (size_t i = 0; i < old_size; i++)
    for (route *moved = old[i], *next; moved != NULL; moved = next) {
      next = moved->next;
      route **to = &table[place(shared, moved->id)];
      moved->next = *to;
      *to = moved;
    }
  free(old);
  return true;
}

static tsh_mirror *least_busy(shared *shared) {
  tsh_mirror *least = shared->workers[0];
  for (size_t i = 1; i < shared->worker_count; i++)
    if (shared->workers[i]->routed < least->routed)
      least = shared->workers[i];
  return least;
}

tsh_mirror *tsh_mirror__route(shared *shared, const char *id) {
  route *found = shared->route_size == 0 ? NULL : *find(shared, id);
  return found != NULL ? found->worker : shared->workers[0];
}

tsh_mirror *tsh_mirror__route_new(shared *shared, const char *id) {
  if (!grow(shared))
    return NULL;
  route **at = find(shared, id);
  if (*at == NULL) {
    size_t size = strlen(id) + 1;
    route *made = malloc(sizeof *made + size);
    if (made == NULL)
      return NULL;
    *made = (route){.worker = least_busy(shared)};
    memcpy(made->id, id, size);
    *at = made;
    shared->route_count++;
  }
  (*at)->uses++;
  (*at)->worker->routed++;
  return (*at)->worker;
}

void tsh_mirror__route_end(shared *shared, const char *id) {
  route **at = find(shared, id), *found = *at;
  found->worker->routed--;
  if (--found->uses > 0)
    return;
  *at = found->next;
  shared->route_count--;
  free(found);
}

void tsh_mirror__routes_free(shared *shared) {
  for (size_t i = 0; i < shared->route_size; i++)
    for (route *at = shared->routes[i], *next; at != NULL; at = next) {
      next = at->next;
      free(at);
    }
  free(shared->routes);
}
