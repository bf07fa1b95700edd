"""Broadcast beside a slow, obvious model: what each subscriber gets, misses and keeps waiting for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routines import ChannelClosed, Lagged, RecvError, SendError, broadcast

steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["send"] * 6 + ["recv"] * 4 + ["many", "wait", "wait", "give up", "subscribe", "leave"]
        ),
        st.integers(0, 7),
        st.integers(1, 5),
    ),
    max_size=60,
)


def drive(operation):
    """What an operation yields when it parks; it may give way before."""
    while True:
        yielded = operation.send(None)
        if yielded is not None:
            return yielded


class Subscriber:
    """A subscription and what the model knows of it: where it stands, and the receives that wait through it."""

    def __init__(self, end, position):
        self.end = end
        self.position = position
        self.waiting = []
        self.got = []


class Model:
    def __init__(self, capacity, lossless):
        self.capacity, self.lossless = capacity, lossless
        self.tx, first = broadcast(capacity, lossless=lossless)
        self.sent = 0
        self.subscribers = [Subscriber(first, 0)]

    def missed(self, subscriber):
        return max(0, self.sent - self.capacity - subscriber.position)

    def buffered(self):
        return max((min(self.capacity, self.sent - each.position) for each in self.subscribers), default=0)

    def send(self, subscriber, count):
        if self.lossless and self.buffered() == self.capacity:
            with pytest.raises(SendError):
                self.tx.try_send(self.sent)
            return
        self.tx.try_send(self.sent)
        self.sent += 1
        for each in self.subscribers:
            if each.waiting:
                with pytest.raises(StopIteration) as caught:
                    each.waiting.pop(0).send(None)
                assert caught.value.value == each.position == self.sent - 1
                each.position += 1

    def recv(self, subscriber, count):
        missed = self.missed(subscriber)
        if missed:
            with pytest.raises(Lagged) as caught:
                subscriber.end.try_recv()
            assert caught.value.missed == missed
            subscriber.position += missed
        elif subscriber.position == self.sent:
            with pytest.raises(RecvError):
                subscriber.end.try_recv()
        else:
            assert subscriber.end.try_recv() == subscriber.position
            subscriber.position += 1

    def many(self, subscriber, count):
        if self.missed(subscriber) or subscriber.position == self.sent:
            return
        with pytest.raises(StopIteration) as caught:
            drive(subscriber.end.recv_many(count))
        last = min(self.sent, subscriber.position + count)
        assert caught.value.value == list(range(subscriber.position, last))
        subscriber.position = last

    def wait(self, subscriber, count):
        if subscriber.position == self.sent:
            operation = subscriber.end.recv()
            assert drive(operation) is operation
            subscriber.waiting.append(operation)

    def give_up(self, subscriber, count):
        if subscriber.waiting:
            subscriber.waiting.pop(count % len(subscriber.waiting)).close()

    def subscribe(self, subscriber, count):
        end = self.tx.subscribe() if count % 2 else subscriber.end.clone()
        self.subscribers.append(Subscriber(end, self.sent))

    def leave(self, subscriber, count):
        if len(self.subscribers) == 1:
            return
        self.subscribers.remove(subscriber)
        subscriber.end.close()
        for operation in subscriber.waiting:
            with pytest.raises(ChannelClosed):
                operation.send(None)

    def check(self):
        assert len(self.tx) == self.buffered()
        stats = self.tx.stats()
        assert stats.sent == self.sent and stats.receivers == len(self.subscribers)
        assert stats.waiting_receivers == sum(len(each.waiting) for each in self.subscribers)
        for each in self.subscribers:
            assert len(each.end) == min(self.capacity, self.sent - each.position)

    def close(self):
        self.tx.close()
        for each in self.subscribers:
            for operation in each.waiting:
                with pytest.raises(ChannelClosed):
                    operation.send(None)
            while self.missed(each) or each.position < self.sent:
                self.recv(each, 0)
            with pytest.raises(ChannelClosed):
                each.end.try_recv()


@settings(max_examples=150, deadline=None)
@given(steps=steps, capacity=st.integers(1, 5), lossless=st.booleans())
def test_each_subscriber_gets_what_the_model_says(steps, capacity, lossless):
    model = Model(capacity, lossless)
    for name, which, count in steps:
        subscriber = model.subscribers[which % len(model.subscribers)]
        getattr(model, name.replace(" ", "_"))(subscriber, count)
        model.check()
    model.close()
