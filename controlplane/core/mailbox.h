// Messages from one thread to the loop of another, in order and without a lock: whoever posts never
// waits. How many may be under way is for those who post to bound.
#pragma once

#include "controlplane/core/loop.h"

// First member of a message.
struct mail {
	struct mail *next;
};

struct mailbox;

// On the loop's thread: one message, the receiver's now.
typedef void (*mail_fn)(void *arg, struct mail *take_m);

// Of the loop's thread, or before that runs. NULL and errno.
struct mailbox *mailbox_new(struct loop *l, mail_fn fn, void *arg);
// Any one other thread, until the box is freed.
void mailbox_post(struct mailbox *b, struct mail *give_m);
// Of the loop's thread, not from within fn: hands over what is there now. For the end, when nobody
// posts any more, and for who shall hear of it before he looks at something else.
void mailbox_empty(struct mailbox *b);
// Of the loop's thread. What is still in it is lost. NULL is allowed.
void mailbox_free(struct mailbox *b);
