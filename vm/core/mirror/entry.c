/* Entries and the Fetch replies they point into. */
#include <stdlib.h>

#include "mirror_int.h"

chunk *tsh_mirror__chunk_new(tsh_mirror *mirror, tsh_body *body, size_t size) {
  chunk *held = malloc(sizeof *held);
  if (held == NULL)
    return NULL;
  *held = (chunk){mirror, tsh_body_keep(body), size, 1};
  tsh_mirror__hold(mirror, size);
  return held;
}

void tsh_mirror__hold(tsh_mirror *mirror, size_t bytes) {
  mirror->held += bytes;
  atomic_fetch_add(&mirror->shared->held, bytes);
}

void tsh_mirror__give_back(tsh_mirror *mirror, size_t bytes) {
  mirror->held -= bytes;
  atomic_fetch_sub(&mirror->shared->held, bytes);
}

void tsh_mirror__chunk_release(chunk *chunk) {
  if (--chunk->refs > 0)
    return;
  tsh_body_release(chunk->body);
  tsh_mirror__give_back(chunk->mirror, chunk->size);
  free(chunk);
}

/* With a chunk the bytes stay its own, and it is held on to; without, the
 * entry takes the bytes over (also when this fails). */
entry *tsh_mirror__entry_new(flow *flow, chunk *chunk, uint8_t *bytes,
                             size_t size) {
  entry *made = calloc(1, sizeof *made);
  if (made == NULL) {
    if (chunk == NULL)
      free(bytes);
    return NULL;
  }
  made->chunk = chunk;
  made->bytes = bytes;
  made->size = size;
  if (chunk != NULL)
    chunk->refs++;
  else
    tsh_mirror__hold(flow->mirror, size);
  flow->held += size;
  return made;
}

static void drop_bytes(flow *flow, entry *entry) {
  flow->held -= entry->size;
  if (entry->chunk != NULL) {
    tsh_mirror__chunk_release(entry->chunk);
  } else {
    tsh_mirror__give_back(flow->mirror, entry->size);
    free(entry->bytes);
  }
}

void tsh_mirror__entry_own(flow *flow, entry *entry, uint8_t *bytes,
                           size_t size) {
  drop_bytes(flow, entry);
  entry->chunk = NULL;
  entry->bytes = bytes;
  entry->size = size;
  flow->held += size;
  tsh_mirror__hold(flow->mirror, size);
}

void tsh_mirror__entry_free(flow *flow, entry *entry) {
  if (flow->last == entry)
    flow->last = NULL;
  drop_bytes(flow, entry);
  free(entry->runs);
  free(entry);
}

/* A flow that stands ready has something to send, so it leaves the line. */
void tsh_mirror__drop_queue(flow *flow) {
  tsh_mirror__no_send(flow);
  while (flow->head != NULL) {
    entry *dropped = flow->head;
    flow->head = dropped->next;
    tsh_mirror__entry_free(flow, dropped);
  }
  flow->tail = NULL;
  flow->in_hole = false; /* a late resume finds none */
}
