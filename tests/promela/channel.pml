/* The hand-over and select-claim protocol of routines, for spin.

   One channel pair: `a` with CAPACITY values of buffer, `b` with none. Three senders and three receivers, of which one
   sender and one receiver of `a` may be cancelled; two selects, each over a receive of `a` and a receive (the first) or
   a send (the second) of `b`; and a closer. Each participant runs on a thread of its own, so every interleaving of
   their stretches is explored. What the code does without Python in between, under the interpreter's lock, is one
   `d_step` here: a change to a channel with the settling of whoever it completes. A wake-up is a separate step, as a
   woken routine goes on later, after whatever comes between.

   What is checked: each value is received once at most; what was sent was received or is still there; a cancelled or
   failed sender's value reached nobody, and a cancelled receiver took none; a select does one case and leaves no node
   behind; whoever waits is waited for (no invalid end state); first come, first served.

   Planted bugs, one macro each, which spin has to find:
     BUG_NO_UNLINK       a cancelled receiver stays in the queue
     BUG_CANCEL_WINS     a cancellation that meets a completed operation throws the value away
     BUG_LOSER_STAYS     a select that was claimed leaves its other node linked
     BUG_DOUBLE_CLAIM    the same, and a node that is settled does not look whether its select was claimed already
     BUG_FORGET_WAKE     a sender whose value was taken from the queue is not woken
     BUG_CLOSE_FORGETS   close does not settle the receivers that wait
     BUG_LIFO            the receiver that came last is served first
     BUG_LOOK_THEN_LINK  a receiver looks and parks in two stretches
*/

#ifndef CAPACITY
#define CAPACITY 1
#endif

#define SENDERS    3
#define RECEIVERS  3
#define SELECTS    2

/* Participants by number: 0..2 senders, 3..5 receivers, 6..7 selects. */
#define PEOPLE     8
#define RECEIVER0  3
#define SELECT0    6
#define NOBODY     15
#define EMPTY      15

#define A 0
#define B 1

/* The states of an operation. */
#define NEW        0
#define OPEN       1
#define COMPLETE   2
#define CANCELLED  3
#define DONE       4

/* A queue of waiting nodes: who, in the order in which they came. A person has one node in a queue at most. */
typedef Queue { byte who[PEOPLE]; byte length }

Queue senders[2];
Queue receivers[2];
byte buffer = EMPTY;            /* of `a`; `b` has none */
byte used = 0;
bool closed[2];

byte state[PEOPLE];
byte value[PEOPLE];             /* to give, or received */
byte on[PEOPLE];                /* the channel of the case that was settled */
bool failed[PEOPLE];            /* settled by a close */
bool ready[PEOPLE];             /* was woken: goes on when it comes to its turn */
byte claims[PEOPLE];            /* how often it was settled */

byte delivered[PEOPLE];         /* per value, which is its sender's number: how often it was received */
bool has_sent[PEOPLE];          /* per value: its sender was told so */
bool took_back[PEOPLE];         /* per value: its sender failed or was cancelled */
byte ended = 0;

/* To check the order, without a look at the queues: a bit for each person. */
byte waiting = 0;               /* who waits in `a` */
byte before[PEOPLE];            /* who waited there already, on the same side, when somebody came */
#define BIT(person)     (1 << person)
#define SENDERS_BITS    7
#define RECEIVERS_BITS  248

byte i, j;                      /* used inside of d_steps alone, and back to zero at their end */

inline wait_in_a(person, side) {
    before[person] = waiting & side;
    waiting = waiting | BIT(person)
}

inline wait_no_longer(person) {
    waiting = waiting & (255 - BIT(person));
    before[person] = 0
}

inline append(queue, person) {
    queue.who[queue.length] = person;
    queue.length++
}

/* Take `person` out of a queue, where it is in it. */
inline unlink(queue, person) {
    i = 0;
    j = 0;
    do
    :: i < queue.length ->
        if
        :: queue.who[i] != person -> queue.who[j] = queue.who[i]; j++
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = j;
    do
    :: i < queue.length -> queue.who[i] = 0; i++
    :: else -> break
    od;
    queue.length = j;
    i = 0;
    j = 0
}

/* An operation is settled: it is out of every queue, and its driver is woken. */
inline settle(person, channel, what, fails) {
#ifndef BUG_DOUBLE_CLAIM
    assert(state[person] == OPEN);
#endif
    state[person] = COMPLETE;
    on[person] = channel;
    failed[person] = fails;
    if
    :: what != EMPTY -> value[person] = what
    :: else
    fi;
    claims[person]++;
    wait_no_longer(person);
#if !defined(BUG_LOSER_STAYS) && !defined(BUG_DOUBLE_CLAIM)
    if
    :: person >= SELECT0 ->
        unlink(receivers[A], person);
        unlink(receivers[B], person);
        unlink(senders[B], person)
    :: else
    fi;
#endif
    ready[person] = true
}

/* Hand `what` to the receiver of `channel` that has waited longest. */
inline deliver(channel, what) {
#ifdef BUG_LIFO
    first = receivers[channel].who[receivers[channel].length - 1];
#else
    first = receivers[channel].who[0];
#endif
    unlink(receivers[channel], first);
    if
    :: channel == A -> assert((before[first] & waiting) == 0)
    :: else
    fi;
    settle(first, channel, what, false);
    first = 0
}

/* The value of the sender of `channel` that has waited longest, which is settled. */
inline take_from_sender(channel, into) {
    first = senders[channel].who[0];
    unlink(senders[channel], first);
    if
    :: channel == A -> assert((before[first] & waiting) == 0)
    :: else
    fi;
    into = (first >= SELECT0 -> first : value[first]);
    settle(first, channel, EMPTY, false);
#ifdef BUG_FORGET_WAKE
    ready[first] = false;
#endif
    first = 0
}

/* Receive into `into` where that can be done at once; `done` says whether. A closed channel fails, once it is drained. */
inline receive_now(channel, into, done, fails) {
    done = true;
    fails = false;
    if
    :: channel == A && used > 0 ->
        into = buffer;
        buffer = EMPTY;
        used = 0;
        if
        :: senders[A].length > 0 -> take_from_sender(A, buffer); used = 1
        :: else
        fi
    :: else ->
        if
        :: closed[channel] -> fails = true
        :: else ->
            if
            :: senders[channel].length > 0 -> take_from_sender(channel, into)
            :: else -> done = false
            fi
        fi
    fi
}

inline send_now(channel, what, done, fails) {
    done = true;
    fails = false;
    if
    :: closed[channel] -> fails = true
    :: else ->
        if
        :: receivers[channel].length > 0 -> deliver(channel, what)
        :: else ->
            if
            :: channel == A && used < CAPACITY -> buffer = what; used = 1
            :: else -> done = false
            fi
        fi
    fi
}

/* The bookkeeping of the checks. */
inline got(what) {
    assert(what < PEOPLE);
    delivered[what]++;
    assert(delivered[what] == 1);
    assert(!took_back[what])
}

inline nowhere(person) {
    i = 0;
    do
    :: i < PEOPLE ->
        if
        :: i < receivers[A].length -> assert(receivers[A].who[i] != person)
        :: else
        fi;
        if
        :: i < receivers[B].length -> assert(receivers[B].who[i] != person)
        :: else
        fi;
        if
        :: i < senders[A].length -> assert(senders[A].who[i] != person)
        :: else
        fi;
        if
        :: i < senders[B].length -> assert(senders[B].who[i] != person)
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

/* Nothing of a finished operation distinguishes one state from another. */
inline forget(person) {
    ready[person] = false;
    value[person] = 0;
    on[person] = 0;
    failed[person] = false;
    claims[person] = 0
}

inline end_sender(me, fails) {
    nowhere(me);
    if
    :: fails -> assert(delivered[me] == 0); took_back[me] = true
    :: else -> has_sent[me] = true
    fi;
    forget(me);
    ended++
}

inline end_receiver(me, what, fails) {
    nowhere(me);
    if
    :: !fails -> got(what)
    :: else
    fi;
    what = EMPTY;
    forget(me);
    ended++
}

inline end_select(me, sends, channel, what, fails) {
    nowhere(me);
    assert(claims[me] <= 1);
    if
    :: fails -> took_back[me] = sends
    :: !fails && sends && channel == B -> has_sent[me] = true
    :: else -> got(what); took_back[me] = sends
    fi;
    if
    :: took_back[me] -> assert(delivered[me] == 0)
    :: else
    fi;
    what = EMPTY;
    channel = A;
    forget(me);
    ended++
}

/* A woken person goes on: what came of the operation. */
inline resume(me, what, fails) {
    if
    :: state[me] == COMPLETE -> fails = failed[me]; what = value[me]
    :: else -> assert(state[me] == CANCELLED); fails = true
    fi;
    state[me] = DONE
}

/* Of two persons that differ in nothing but their number, the first begins first: the other order is the same states again. */
#define FIRST_TWIN(me)  (me != 2 && me != 5)

proctype Sender(byte me) {
    byte first, what = EMPTY;
    bool done, fails;
    d_step {
        FIRST_TWIN(me) || state[me - 1] != NEW;
        value[me] = me;
        send_now(A, me, done, fails);
        if
        :: !done -> state[me] = OPEN; wait_in_a(me, SENDERS_BITS); append(senders[A], me)
        :: else -> state[me] = DONE; end_sender(me, fails)
        fi
    };
    if
    :: done
    :: !done ->
        d_step {
            ready[me];
            resume(me, what, fails);
            end_sender(me, fails);
            what = EMPTY
        }
    fi
}

proctype Receiver(byte me) {
    byte first, what = EMPTY;
    bool done, fails;
    d_step {
        FIRST_TWIN(me) || state[me - 1] != NEW;
        receive_now(A, what, done, fails);
        if
#ifndef BUG_LOOK_THEN_LINK
        :: !done -> state[me] = OPEN; wait_in_a(me, RECEIVERS_BITS); append(receivers[A], me)
#else
        :: !done
#endif
        :: else -> state[me] = DONE; end_receiver(me, what, fails)
        fi
    };
#ifdef BUG_LOOK_THEN_LINK
    d_step {
        if
        :: !done -> state[me] = OPEN; wait_in_a(me, RECEIVERS_BITS); append(receivers[A], me)
        :: else
        fi
    };
#endif
    if
    :: done
    :: !done ->
        d_step {
            ready[me];
            resume(me, what, fails);
            end_receiver(me, what, fails)
        }
    fi
}

/* The first receives from `a` or from `b`; the second receives from `a` or sends to `b`. */
proctype Select(byte me; bool sends) {
    byte first, what = EMPTY, channel = A;
    bool done, fails;
    bool other_first;
    if
    :: other_first = false
    :: other_first = true
    fi;
    d_step {
        /* Any of the ready cases, whichever is looked at first. */
        if
        :: other_first && sends -> channel = B; send_now(B, me, done, fails)
        :: other_first && !sends -> channel = B; receive_now(B, what, done, fails)
        :: else -> channel = A; receive_now(A, what, done, fails)
        fi;
        if
        :: !done && other_first -> channel = A; receive_now(A, what, done, fails)
        :: !done && !other_first && sends -> channel = B; send_now(B, me, done, fails)
        :: !done && !other_first && !sends -> channel = B; receive_now(B, what, done, fails)
        :: else
        fi;
        other_first = false;
        if
        :: !done ->
            state[me] = OPEN;
            channel = A;
            wait_in_a(me, RECEIVERS_BITS);
            append(receivers[A], me);
            if
            :: sends -> append(senders[B], me)
            :: else -> append(receivers[B], me)
            fi
        :: else -> state[me] = DONE; end_select(me, sends, channel, what, fails)
        fi
    };
    if
    :: done
    :: !done ->
        d_step {
            ready[me];
            channel = on[me];
            resume(me, what, fails);
            end_select(me, sends, channel, what, fails)
        }
    fi
}

/* Cancels somebody at any time while the operation waits, or never. Before that there is nothing to leave; once it is
   complete the cancellation comes too late for it, and changes nothing. */
proctype Canceller(byte whom) {
end:
    d_step {
#ifdef BUG_CANCEL_WINS
        state[whom] == OPEN || state[whom] == COMPLETE;
#else
        state[whom] == OPEN;
#endif
#ifndef BUG_NO_UNLINK
        unlink(receivers[A], whom);
#endif
        unlink(senders[A], whom);
        unlink(receivers[B], whom);
        unlink(senders[B], whom);
        wait_no_longer(whom);
        state[whom] = CANCELLED;
        ready[whom] = true
    }
}

/* Closes both channels. Everybody who waits is taken out and settled before anybody goes on. */
proctype Closer() {
    byte first, channel;
    d_step {
        channel = A;
        do
        :: channel <= B ->
            closed[channel] = true;
            do
            :: senders[channel].length > 0 ->
                first = senders[channel].who[0];
                unlink(senders[channel], first);
                settle(first, channel, EMPTY, true)
            :: else -> break
            od;
#ifndef BUG_CLOSE_FORGETS
            do
            :: receivers[channel].length > 0 ->
                first = receivers[channel].who[0];
                unlink(receivers[channel], first);
                settle(first, channel, EMPTY, true)
            :: else -> break
            od;
#endif
            channel++
        :: else -> break
        od;
        first = 0;
        channel = 0
    }
}

init {
    atomic {
        run Sender(0); run Sender(1); run Sender(2);
        run Receiver(3); run Receiver(4); run Receiver(5);
        run Select(6, false); run Select(7, true);
        run Canceller(0); run Canceller(3); run Canceller(6);
        run Closer()
    };
    /* All end: nobody waits for ever once the channels are closed. */
    d_step {
        ended == PEOPLE;
        assert(receivers[A].length == 0 && receivers[B].length == 0);
        assert(senders[A].length == 0 && senders[B].length == 0);
        /* Nothing is lost: what was sent has come, or is still in the buffer. */
        i = 0;
        do
        :: i < PEOPLE ->
            if
            :: has_sent[i] -> assert(delivered[i] == 1 || (used == 1 && buffer == i))
            :: else -> assert(delivered[i] == 0)
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}
