"""Fan-in: what several receivers bring, in one loop, until the last of them is closed."""

from routines import Selector, channel, group, run, sleep


async def talk(name, words, out):
    with out:
        for word in words:
            await sleep(0.001)
            await out.send(f"{name}: {word}")


async def main():
    heard = []
    async with group() as talkers:
        sources = []
        for name, words in {"Ann": ["hello", "bye"], "Joe": ["yes"]}.items():
            tx, rx = channel()
            talkers.go(talk, name, words, tx)
            sources.append(rx)
        selector = Selector(*sources)
        async for index, text, ok, _ in selector:  # ends when no source is left
            if ok:
                heard.append(text)
            else:
                selector.remove(index)  # closed and drained
    print(*sorted(heard), sep="\n")


if __name__ == "__main__":
    run(main)
# Ann: bye
# Ann: hello
# Joe: yes
