/* Line editing at a terminal, by libedit.
 *
 * Reading a line blocks, so it runs on the thread pool; the loop goes on. When
 * TAB is pressed the reading thread puts a question and waits, and whoever
 * asked (tsh_edit_ask) answers from the loop's thread, in its own time. All
 * functions are called on the loop's thread. One editor per process: it owns
 * the terminal's modes while a line is read, and restores them after. */
#ifndef TRANSHIP_EDIT_H
#define TRANSHIP_EDIT_H

#include <stddef.h>

#include "tranship/err.h"
#include "tranship/loop.h"

typedef struct tsh_edit tsh_edit;

/* How a line ended. */
typedef enum tsh_edit_end {
  TSH_EDIT_LINE,   /* Enter */
  TSH_EDIT_CANCEL, /* Ctrl-C: the line is dropped */
  TSH_EDIT_EOF     /* Ctrl-D on an empty line, or the terminal is gone */
} tsh_edit_end;

/* TSH_INVALID when stdin or stdout is no terminal. */
int tsh_edit_open(tsh_edit **out, tsh_loop *loop, tsh_err *err);
/* Ends a reading under way as TSH_EDIT_EOF and an asking with no question; the
 * editor is freed when the last operation is. */
void tsh_edit_close(tsh_edit *edit);

/* Reads a line; one at a time. Escape sequences of the prompt stand between
 * bytes 1. After `done`: the line without its end, until the op is freed. */
tsh_op *tsh_edit_read(tsh_edit *edit, const char *prompt);
const char *tsh_edit_line(const tsh_op *op, tsh_edit_end *end);

/* Waits for TAB; one at a time. After `done`: what stands before the cursor,
 * or NULL when the editor is closing. */
tsh_op *tsh_edit_ask(tsh_edit *edit);
const char *tsh_edit_question(const tsh_op *op);
/* Answers the open question: `count` words that may replace the last `typed`
 * bytes before the cursor. Without an open question, nothing happens. */
void tsh_edit_answer(tsh_edit *edit, const char *const *words, size_t count,
                     size_t typed);

/* The history that the arrow keys walk through; the file is private (0600). */
void tsh_edit_remember(tsh_edit *edit, const char *line);
int tsh_edit_load(tsh_edit *edit, const char *path, tsh_err *err);
int tsh_edit_save(tsh_edit *edit, const char *path, tsh_err *err);

#endif
