"""What every stream was owed, and whether it got it.

The driver writes down what publishers sent and were answered, and what each subscriber read over
its whole life, with times of one clock. From that alone `check` finds every fault: something lost
that no bound may take, or without a gap, twice, out of order, to the wrong stream, brought back
from the dead, a retraction that a stream was not told of, or a gap that nothing was lost for."""
import bisect
import collections
import itertools

TTL_SLACK = 0.7   # seconds by which a ttl may end early or late: ticks, and a loop under load
LAG = 2           # seconds within which all gets to the disk with sync = interval: 1, and a load
EVERYONE = ("everyone", "")
FOREVER = float("inf")


class Item:
    """One notification to one channel."""
    __slots__ = ("n", "channel", "sent", "acked", "seq", "ttl", "collapse", "is_refused",
                 "spans_restart", "retract_sent", "retract_acked", "retracted_seq", "known",
                 "answers")

    def __init__(self, n, channel, sent, ttl=None, collapse=None):
        self.n = n                    # unique; in its data
        self.channel = channel        # ("user" | "topic" | "everyone", name)
        self.sent = sent              # when the first request with it began
        self.acked = None             # when it was answered with 200, for the first time
        self.answers = []             # (number, whether it was called a repeat), where told
        self.seq = None               # its number, once somebody knows
        self.ttl = ttl                # seconds; None: the default, which is long
        self.collapse = collapse      # key
        self.is_refused = False       # answered with an error, and not repeated
        self.spans_restart = False    # repeated to a daemon that was started after `sent`
        self.retract_sent = None
        self.retract_acked = None
        self.retracted_seq = None     # what was there then, and taken back
        self.known = None             # when it was answered or first seen: it is recorded


# `asked` is when it began to connect, `time` when it read the start: it was opened in between.
Session = collections.namedtuple("Session", "asked time start_seq resumed_from")
Event = collections.namedtuple("Event", "time seq n")
Gap = collections.namedtuple("Gap", "time seq reason after")
Retract = collections.namedtuple("Retract", "time seq")
# `over` is when it was answered, or the daemon gone: later it took nothing.
Erasure = collections.namedtuple("Erasure", "user sent over was_done")


class Subscriber:
    def __init__(self, name, user, topics=()):
        self.name = name
        self.channels = {("user", user), EVERYONE, *(("topic", t) for t in topics)}
        self.log = []           # Session, Event, Gap and Retract, in the order they were read
        self.is_caught_up = False  # it has read all there is, at the end


class Rules:
    """What a run may look like."""

    def __init__(self, is_always=True, keep_per_user=FOREVER, restarts=(), erasures=(), lag=0):
        self.is_always = is_always     # sync = always
        self.lag = lag                 # seconds by which one of several daemons may be behind
        self.keep_per_user = keep_per_user
        self.restarts = restarts       # (time of the kill, first number after it): sync = interval
        self.erasures = collections.defaultdict(list)
        for erasure in erasures:
            self.erasures["user", erasure.user].append(erasure)


class Faults(list):
    MOST = 5000

    def add(self, text):
        if len(self) < self.MOST:
            self.append(text)


class Checker:
    def __init__(self, items, subscribers, rules):
        self.rules = rules
        self.subscribers = subscribers
        self.faults = Faults()
        self.by_n = collections.defaultdict(dict)
        for item in items:
            self.by_n[item.n][item.channel] = item
        self.owed = 0       # deliveries that were owed and came
        self.told = 0       # retractions that were to be told and were
        self.excused = collections.Counter()

    def run(self):
        self.learn_numbers()
        self.index()
        for s in self.subscribers:
            self.check_subscriber(s)
        return self.faults

    def item_of(self, s, n):
        found = [i for c, i in self.by_n.get(n, {}).items() if c in s.channels]
        return found[0] if len(found) == 1 else None

    # ---- what is known of the items ----

    def learn_numbers(self):
        self.owner = {}  # of each number
        for channels in self.by_n.values():
            for item in channels.values():
                item.known = item.acked
                self.learn_answers(item)
        for s in self.subscribers:
            for e in s.log:
                if isinstance(e, Event):
                    self.learn_event(s, e)

    def learn_answers(self, item):
        """All answers for one are the first one's."""
        for at, (seq, is_repeat) in enumerate(item.answers):
            if at == 0 or self.may_repeat(item):
                item.seq = seq
                self.claim(seq, item, "the answer")
            elif seq != item.seq:
                self.faults.add(f"{item.n} was answered as #{item.seq}, then as #{seq}")
            elif not is_repeat:
                self.faults.add(f"{item.n}, #{seq}, was taken twice")

    def learn_event(self, s, e):
        item = self.item_of(s, e.n)
        if item is None:
            self.faults.add(f"{s.name}: #{e.seq} ({e.n}) is not addressed to it")
            return
        self.claim(e.seq, item, s.name)
        if item.is_refused:
            self.faults.add(f"{s.name}: #{e.seq} ({e.n}) was refused, and came")
        item.known = e.time if item.known is None else min(item.known, e.time)
        if item.seq is None or not self.may_repeat(item):
            if item.seq not in (None, e.seq):
                self.faults.add(f"{item.n} is #{item.seq} and, for {s.name}, #{e.seq}")
            item.seq = e.seq

    def claim(self, seq, item, who):
        other = self.owner.setdefault(seq, item)
        if other is not item:
            self.faults.add(f"#{seq} is {other.n} and, by {who}, {item.n}")

    def may_repeat(self, item):
        """Its key may be lost with the last moment before a kill: then it comes again."""
        return not self.rules.is_always and item.spans_restart

    def index(self):
        self.by_channel = collections.defaultdict(list)
        self.by_key = collections.defaultdict(list)
        self.unknown = collections.defaultdict(list)  # that nobody knows the number of
        self.retracted = collections.defaultdict(list)
        for channels in self.by_n.values():
            for item in channels.values():
                if item.collapse is not None and not item.is_refused:
                    self.by_key[item.channel, item.collapse].append(item)
                if item.seq is not None:
                    self.by_channel[item.channel].append(item)
                else:
                    self.unknown[item.channel].append(item)
                if item.retracted_seq is not None:
                    self.retracted[item.channel].append(item)
        for items in self.by_channel.values():
            items.sort(key=lambda i: i.seq)
        self.seqs = {channel: [i.seq for i in items] for channel, items in self.by_channel.items()}

    def behind(self, channel, seq):
        first = bisect.bisect_right(self.seqs.get(channel, ()), seq)
        return itertools.islice(self.by_channel[channel], first, None)

    # ---- what may be gone, and why ----

    def may_be_lost(self, item, at):
        """Whether a bound or a kill may have taken it by that time. What came again has been known
        for longer than it has its number."""
        if item.sent > at:
            return False
        return item.ttl == 0 or self.may_be_evicted(item, at) or any(
            time < at and (item.seq is None or item.seq < first) and
            (item.known is None or item.known > time - LAG or self.may_repeat(item))
            for time, first in self.rules.restarts)

    def may_be_evicted(self, item, at):
        """Of a user's the newest are kept: that many others must have come behind it."""
        if item.channel[0] != "user" or self.rules.keep_per_user == FOREVER:
            return False
        left = self.rules.keep_per_user
        newer = self.behind(item.channel, 0 if item.seq is None else item.seq)
        for other in itertools.chain(newer, self.unknown[item.channel]):
            if other is not item and other.ttl != 0 and other.sent <= at and not other.is_refused:
                left -= 1
                if left == 0:
                    return True
        return False

    def may_be_erased(self, item, at):
        return any(e.sent < at and item.sent < e.over
                   for e in self.rules.erasures[item.channel])

    # ---- one life ----

    def check_subscriber(self, s):
        life = Life(s)
        if life.start is None:
            return
        for e in s.log:
            self.check_order(s, life, e)
        for channel in s.channels:
            self.check_channel(s, channel, life)
            self.check_unnumbered(s, channel, life)
            for item in self.retracted[channel]:
                self.check_told(s, item, life)
        for _, gap in life.gaps:
            self.check_due(s, gap, life)

    def check_order(self, s, life, e):
        """What can be judged as it comes."""
        if isinstance(e, Session):
            if life.session is not None and e.start_seq != e.resumed_from:
                self.faults.add(f"{s.name}: resumed from #{e.resumed_from}, told #{e.start_seq}")
            life.begin(e)
        elif isinstance(e, Gap):
            if e.seq < life.last:
                self.faults.add(f"{s.name}: gap at #{e.seq} behind #{life.last}")
            life.last = max(life.last, e.seq)
            life.gaps.append((len(life.events), e))
        elif isinstance(e, Retract):
            item = self.owner.get(e.seq)
            if item is None or item.channel not in s.channels or item.retract_sent is None or \
                    item.retract_sent > e.time:
                self.faults.add(f"{s.name}: told to retract #{e.seq}, which nobody asked for")
            if e.seq in life.retracted and not self.may_be_behind(life, e):
                self.faults.add(f"{s.name}: told twice to retract #{e.seq}")
            life.retracted.setdefault(e.seq, len(life.events))
            life.told.setdefault(e.seq, (life.session, e.time))
        else:
            self.check_event(s, life, e)

    def may_be_behind(self, life, e):
        """Whether this session's daemon may not have known what another told of that number."""
        session, time = life.told[e.seq]
        return session is not life.session and e.time < time + self.rules.lag

    def check_event(self, s, life, e):
        item = self.item_of(s, e.n)
        if e.seq <= life.last:
            self.faults.add(f"{s.name}: #{e.seq} ({e.n}) behind #{life.last}")
        if e.n in life.seen and not (item is not None and self.may_repeat(item)):
            self.faults.add(f"{s.name}: {e.n} twice, #{life.seen[e.n]} and #{e.seq}")
        if e.seq in life.retracted and not self.may_be_behind(life, e):
            self.faults.add(f"{s.name}: #{e.seq} ({e.n}) came behind its retraction")
        if item is not None:
            self.check_alive(s, life.session, e, item)
        life.add(e)

    def check_alive(self, s, session, e, item):
        """What was over before the session began does not come in it."""
        if self.may_repeat(item):
            return  # it is several, each with a life of its own
        began = session.asked
        lag = self.rules.lag
        if item.ttl is not None and began > item.known + item.ttl + TTL_SLACK + lag:
            self.faults.add(f"{s.name}: #{e.seq} ({e.n}) came after its ttl of {item.ttl}")
        if item.retract_acked is not None and began > item.retract_acked + lag:
            self.faults.add(f"{s.name}: #{e.seq} ({e.n}) came after it was retracted")
        for erasure in self.rules.erasures[item.channel]:
            if erasure.was_done and item.known < erasure.sent and \
                    began > erasure.over + lag:
                self.faults.add(f"{s.name}: #{e.seq} ({e.n}) came after it was erased")
        if not self.rules.is_always:
            return
        for newer in self.by_key.get((item.channel, item.collapse), ()):
            if newer.acked is not None and newer.seq is not None and newer.seq > e.seq and \
                    began > newer.acked + lag:
                self.faults.add(f"{s.name}: #{e.seq} ({e.n}) came after #{newer.seq} "
                                "had replaced it")
                return

    # ---- what is missing ----

    def check_channel(self, s, channel, life):
        for item in self.behind(channel, life.start):
            if item.n in life.seen:
                self.owed += 1
                continue
            if item.known is None:
                continue
            at = bisect.bisect_right(life.seqs, item.seq)
            if at == len(life.seqs):
                if s.is_caught_up:
                    self.faults.add(f"{s.name}: #{item.seq} ({item.n}) never came")
                continue  # else it was not there any more
            why = self.excuse(item, life, at)
            if why is not None:
                self.excused[why] += 1
            else:
                self.faults.add(f"{s.name}: #{item.seq} ({item.n}, {channel}) is missing before "
                                f"#{life.seqs[at]}")

    def check_unnumbered(self, s, channel, life):
        """What was answered, and nobody knows the number of, was still to come to those who were
        there from before it to the end."""
        if not s.is_caught_up:
            return
        for item in self.unknown[channel]:
            if item.acked is None or item.n in life.seen or \
                    (life.kept_at is None and item.sent <= life.opened):
                continue
            why = self.excuse(item, life, len(life.seqs))
            if why is None:
                self.faults.add(f"{s.name}: {item.n}, which was taken, came to nobody")
            else:
                self.excused[why] += 1

    def excuse(self, item, life, at):
        """Why it did not come before the event of that index, or before the end."""
        if at < len(life.seqs):
            passed, session = life.events[at].time, life.sessions[at]
        else:
            passed, session = FOREVER, life.session
        if life.kept_at is not None and self.may_be_lost(item, life.kept_at):
            return "gone before it came"
        if item.retract_sent is not None and item.retract_sent < passed:
            return "retracted"
        if self.may_be_erased(item, passed):
            return "erased"
        if item.ttl == 0:
            if session.time > item.sent:
                return "ttl 0"  # only for those who were connected
        elif item.ttl is not None and passed > item.sent + item.ttl - TTL_SLACK:
            return "ttl"
        if item.collapse is not None:
            for newer in self.by_key[item.channel, item.collapse]:
                if newer is not item and newer.sent < passed and \
                        (newer.seq is None or item.seq is None or newer.seq > item.seq):
                    return "collapsed"
        for before, gap in life.gaps:
            if before <= at and (item.seq is None or gap.after < item.seq) and \
                    self.may_be_lost(item, gap.time):
                return "gap"
        return None

    # ---- what is told ----

    def check_told(self, s, item, life):
        """A stream that was open when something was taken back, and got anything newer, was told
        before that."""
        session = None
        for candidate in life.begun:
            if candidate.time < item.retract_sent:
                session = candidate
        if session is None or life.has_overflow:
            return
        told_before = life.retracted.get(item.retracted_seq)
        at = bisect.bisect_right(life.times, item.retract_acked)
        while at < len(life.events) and life.sessions[at] is session:
            newer = self.item_of(s, life.events[at].n)
            if told_before is not None and told_before <= at:
                break
            if newer is not None and newer.sent > item.retract_acked:
                self.faults.add(f"{s.name}: #{item.retracted_seq} ({item.n}) was retracted, which "
                                f"it was not told before #{life.seqs[at]}")
                return
            at += 1
        self.told += told_before is not None

    def check_due(self, s, gap, life):
        """A gap tells of something that is lost to this subscriber."""
        if gap.reason == "unknown-id":
            self.faults.add(f"{s.name}: its id was not known")
            return
        if gap.reason == "overflow" and any(
                i.retract_sent < gap.time and i.retracted_seq not in life.retracted
                for channel in s.channels for i in self.retracted[channel]):
            return  # of more retractions than there is room for
        if any(time < gap.time and gap.after < first for time, first in self.rules.restarts):
            return  # what was out, and not on the disk, cannot be told from what never was
        for channel in s.channels:
            if any(i.n not in life.seen and self.may_be_lost(i, gap.time)
                   for i in self.behind(channel, gap.after)) or \
                    any(self.may_be_lost(i, gap.time) and not i.is_refused
                        for i in self.unknown[channel]):
                return
        self.faults.add(f"{s.name}: a gap behind #{gap.after} ({gap.reason}), and nothing is lost")


class Life:
    """What is known of a subscriber while its log is read, and then of all of it."""

    def __init__(self, s):
        first = next((e for e in s.log if isinstance(e, Session)), None)
        self.start = None if first is None else first.start_seq
        self.opened = None if first is None else first.time
        # One from the earliest is owed what was kept when it came.
        self.kept_at = first.time if first is not None and first.resumed_from == 0 else None
        self.last = self.start  # the highest id so far
        self.session = None
        self.begun = []         # all sessions
        self.gaps = []          # (index of the event that follows, gap)
        self.seqs, self.events, self.sessions, self.times = [], [], [], []  # one an event
        self.seen = {}          # number, by n
        self.retracted = {}     # index of the event that follows, by number, ...
        self.told = {}          # ... and session and time
        self.has_overflow = any(isinstance(e, Gap) and e.reason == "overflow" for e in s.log)

    def begin(self, session):
        self.session = session
        self.begun.append(session)
        self.last = max(self.last, session.start_seq)

    def add(self, e):
        self.last = max(self.last, e.seq)
        self.seen[e.n] = e.seq
        self.seqs.append(e.seq)
        self.events.append(e)
        self.sessions.append(self.session)
        self.times.append(e.time)


def check(items, subscribers, rules):
    """The faults, as sentences; none is what we want."""
    return Checker(items, subscribers, rules).run()
