"""A channel that is obviously right: lists, no wake-ups, no fast paths.

`ModelChannel` says what must have happened after each step; `apply` and its helpers hold the whole of the semantics. A waiting
operation is a `ModelOperation`; it is settled in the step that completes it, never later.
"""

from collections import deque


class Full(Exception):
    pass


class Empty(Exception):
    pass


class Closed(Exception):
    def __init__(self, sent=None):
        super().__init__(sent)
        self.sent = sent


class ModelOperation:
    """One awaited operation: still waiting, or settled with a result or an exception."""

    def __init__(self, kind, values=(), most=1):
        self.kind = kind  # "send", "send_many", "recv", "recv_ok", "recv_many"
        self.values = deque(values)
        self.most = most
        self.sent = 0
        self.settled = False
        self.result = None
        self.error = None

    def settle(self, result=None, error=None):
        assert not self.settled
        self.settled, self.result, self.error = True, result, error


class ModelChannel:
    def __init__(self, capacity):
        self.capacity = capacity
        self.buffer = deque()
        self.senders = deque()
        self.receivers = deque()
        self.open_senders = 1
        self.open_receivers = 1
        self.closed = False
        self.sent = 0
        self.received = 0
        self.woken = []  # receivers of batches that were woken with a first value

    # -- what is there to take

    def take(self):
        """The oldest value: from the buffer, else from the first waiting sender."""
        if self.buffer:
            value = self.buffer.popleft()
            self.refill()
        else:
            value = self.take_from_sender()
        self.received += 1
        return value

    def take_from_sender(self):
        sender = self.senders[0]
        value = sender.values.popleft()
        sender.sent += 1
        self.sent += 1
        if not sender.values:
            self.senders.popleft()
            sender.settle(sender.sent if sender.kind == "send_many" else None)
        return value

    def refill(self):
        while self.senders and len(self.buffer) < self.capacity:
            self.buffer.append(self.take_from_sender())

    def has_value(self):
        return bool(self.buffer or self.senders)

    def put(self, value):
        """A value that a receiver or the buffer can take now; False where neither can."""
        if self.receivers:
            receiver = self.receivers.popleft()
            self.sent += 1
            self.received += 1
            receiver.settle({"recv": value, "recv_ok": (value, True), "recv_many": [value]}[receiver.kind])
            if receiver.kind == "recv_many":
                self.woken.append(receiver)
            return True
        if len(self.buffer) < self.capacity and not self.senders:
            self.buffer.append(value)
            self.sent += 1
            return True
        return False

    def resume(self):
        """Whoever was woken goes on, in the order of waking: a batch takes all that is there by then."""
        for receiver in self.woken:
            while self.has_value() and len(receiver.result) < receiver.most:
                receiver.result.append(self.take())
        self.woken.clear()

    # -- operations

    def try_send(self, value):
        if self.closed:
            raise Closed
        if not self.put(value):
            raise Full

    def try_recv(self):
        if self.has_value():
            return self.take()
        if self.closed:
            raise Closed
        raise Empty

    def send(self, value):
        return self.begin_sending(ModelOperation("send", [value]))

    def send_many(self, values):
        return self.begin_sending(ModelOperation("send_many", values))

    def begin_sending(self, operation):
        while operation.values and not self.closed and self.put(operation.values[0]):
            operation.values.popleft()
            operation.sent += 1
        if not operation.values:
            operation.settle(operation.sent if operation.kind == "send_many" else None)
        elif self.closed:
            operation.settle(error=Closed(operation.sent))
        else:
            self.senders.append(operation)
        return operation

    def receive(self, kind, most=1):
        operation = ModelOperation(kind, most=most)
        if not self.has_value():
            if self.closed and kind == "recv_ok":
                operation.settle((None, False))
            elif self.closed:
                operation.settle(error=Closed())
            else:
                self.receivers.append(operation)
        elif kind == "recv_many":
            values = []
            while self.has_value() and len(values) < most:
                values.append(self.take())
            operation.settle(values)
        else:
            value = self.take()
            operation.settle((value, True) if kind == "recv_ok" else value)
        return operation

    def cancel(self, operation):
        """True where it was still waiting: it leaves the line, and what it had sent stays sent."""
        if operation.settled:
            return False
        line = self.senders if operation in self.senders else self.receivers
        line.remove(operation)
        operation.settle(error=TimeoutError())
        return True

    # -- closing

    def close_sender(self):
        self.open_senders -= 1
        if not self.open_senders:
            self.close()

    def close_receiver(self):
        self.open_receivers -= 1
        if not self.open_receivers:
            self.close()
            self.buffer.clear()

    def close(self):
        if self.closed:
            return
        self.closed = True
        for sender in self.senders:
            sender.settle(error=Closed(sender.sent))
        for receiver in self.receivers:
            if receiver.kind == "recv_ok":
                receiver.settle((None, False))
            else:
                receiver.settle(error=Closed())
        self.senders.clear()
        self.receivers.clear()
