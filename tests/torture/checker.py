"""What every stream was owed, and whether it got it.

The driver writes down what publishers sent and were answered, and what each subscriber read over
its whole life, with times of one clock. From that alone `check` finds every fault: something lost
without a gap, twice, out of order, to the wrong stream, brought back from the dead, or a gap that
nothing was lost for."""
import bisect
import collections

TTL_SLACK = 0.7   # seconds by which a ttl may end early or late: ticks, and a loop under load
EVERYONE = ("everyone", "")


class Item:
    """One notification to one channel."""
    __slots__ = ("n", "channel", "sent", "acked", "seq", "ttl", "collapse", "is_refused",
                 "spans_restart", "retract_sent", "retract_acked", "is_kept_known")

    def __init__(self, n, channel, sent, ttl=None, collapse=None):
        self.n = n                    # unique; in its data
        self.channel = channel        # ("user" | "topic" | "everyone", name)
        self.sent = sent              # when the first request with it began
        self.acked = None             # when it was answered with 200
        self.seq = None               # its number, once somebody knows
        self.ttl = ttl                # seconds; None: the default, which is long
        self.collapse = collapse      # key
        self.is_refused = False       # answered with an error, and not repeated
        self.spans_restart = False    # repeated to a daemon that was started after `sent`
        self.retract_sent = None
        self.retract_acked = None
        self.is_kept_known = False    # answered, or seen by anybody: it is recorded


# `asked` is when it began to connect, `time` when it read the start: it was opened in between.
Session = collections.namedtuple("Session", "asked time start_seq resumed_from")
Event = collections.namedtuple("Event", "time seq n")
Gap = collections.namedtuple("Gap", "time seq reason after")


class Subscriber:
    def __init__(self, name, user, topics=()):
        self.name = name
        self.channels = {("user", user), EVERYONE, *(("topic", t) for t in topics)}
        self.log = []           # Session, Event and Gap, in the order they were read
        self.is_caught_up = False  # it has read all there is, at the end


class Rules:
    """What a run may look like."""

    def __init__(self, is_always=True, may_evict=False, restarts=()):
        self.is_always = is_always     # sync = always
        self.may_evict = may_evict     # keep_per_user is small
        self.restarts = restarts       # (time of the kill, first number after it): sync = interval


class Faults(list):
    MOST = 40

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
        owner = {}
        for channels in self.by_n.values():
            for item in channels.values():
                if item.acked is not None:
                    item.is_kept_known = True
                if item.seq is not None:
                    self.claim(owner, item.seq, item, "the answer")
        for s in self.subscribers:
            for e in s.log:
                if not isinstance(e, Event):
                    continue
                item = self.item_of(s, e.n)
                if item is None:
                    self.faults.add(f"{s.name}: #{e.seq} ({e.n}) is not addressed to it")
                    continue
                self.claim(owner, e.seq, item, s.name)
                if item.is_refused:
                    self.faults.add(f"{s.name}: #{e.seq} ({e.n}) was refused, and came")
                item.is_kept_known = True
                if item.seq is None or not self.may_repeat(item):
                    if item.seq not in (None, e.seq):
                        self.faults.add(f"{item.n} is #{item.seq} and, for {s.name}, #{e.seq}")
                    item.seq = e.seq

    def claim(self, owner, seq, item, who):
        other = owner.setdefault(seq, item)
        if other is not item:
            self.faults.add(f"#{seq} is {other.n} and, by {who}, {item.n}")

    def may_repeat(self, item):
        """Its key may be lost with the last moment before a kill: then it comes again."""
        return not self.rules.is_always and item.spans_restart

    def index(self):
        self.by_channel = collections.defaultdict(list)
        self.by_key = collections.defaultdict(list)
        self.unknown = collections.defaultdict(list)  # that nobody knows the number of
        for channels in self.by_n.values():
            for item in channels.values():
                if item.collapse is not None and not item.is_refused:
                    self.by_key[item.channel, item.collapse].append(item)
                if item.seq is not None:
                    self.by_channel[item.channel].append(item)
                else:
                    self.unknown[item.channel].append(item)
        for items in self.by_channel.values():
            items.sort(key=lambda i: i.seq)
        self.seqs = {channel: [i.seq for i in items] for channel, items in self.by_channel.items()}

    def behind(self, channel, seq):
        return self.by_channel[channel][bisect.bisect_right(self.seqs.get(channel, ()), seq):]

    # ---- one life ----

    def check_subscriber(self, s):
        last = None            # the highest id so far
        start = None
        session = None
        gaps = []              # (index of the event that follows, gap)
        seqs, events, sessions = [], [], []
        seen = {}
        for e in s.log:
            if isinstance(e, Session):
                if start is None:
                    start = e.start_seq
                    # One from the earliest is owed what was kept when it came.
                    kept_at = e.time if e.resumed_from == 0 else None
                elif e.start_seq != e.resumed_from:
                    self.faults.add(f"{s.name}: resumed from #{e.resumed_from}, told "
                                    f"#{e.start_seq}")
                session = e
                last = e.start_seq if last is None else max(last, e.start_seq)
                continue
            if isinstance(e, Gap):
                if e.seq < last:
                    self.faults.add(f"{s.name}: gap at #{e.seq} behind #{last}")
                last = max(last, e.seq)
                gaps.append((len(events), e))
                continue
            if e.seq <= last:
                self.faults.add(f"{s.name}: #{e.seq} ({e.n}) behind #{last}")
            last = max(last, e.seq)
            item = self.item_of(s, e.n)
            if e.n in seen and not (item is not None and self.may_repeat(item)):
                self.faults.add(f"{s.name}: {e.n} twice, #{seen[e.n]} and #{e.seq}")
            seen[e.n] = e.seq
            if item is not None:
                self.check_alive(s, session, e, item)
            seqs.append(e.seq)
            events.append(e)
            sessions.append(session)
        if start is None:
            return
        for channel in s.channels:
            self.check_channel(s, channel, start, kept_at, seen, seqs, events, sessions, gaps)
        for _, gap in gaps:
            self.check_due(s, gap, seen)

    def check_alive(self, s, session, e, item):
        """What was over before the session began does not come in it."""
        began = session.asked
        if item.ttl is not None and item.acked is not None and \
                began > item.acked + item.ttl + TTL_SLACK:
            self.faults.add(f"{s.name}: #{e.seq} ({e.n}) came after its ttl of {item.ttl}")
        if not self.rules.is_always:
            return
        if item.retract_acked is not None and began > item.retract_acked:
            self.faults.add(f"{s.name}: #{e.seq} ({e.n}) came after it was retracted")
        for newer in self.by_key.get((item.channel, item.collapse), ()):
            if newer.acked is not None and newer.seq is not None and newer.seq > e.seq and \
                    began > newer.acked:
                self.faults.add(f"{s.name}: #{e.seq} ({e.n}) came after #{newer.seq} "
                                "had replaced it")
                return

    def was_gone(self, item, at):
        """Whether it may have been lost before that time."""
        return item.sent < at and (
            self.rules.may_evict and item.channel[0] == "user" or
            any(time < at and item.seq < first for time, first in self.rules.restarts))

    def check_channel(self, s, channel, start, kept_at, seen, seqs, events, sessions, gaps):
        for item in self.behind(channel, start):
            if item.n in seen:
                self.owed += 1
                continue
            if not item.is_kept_known:
                continue
            at = bisect.bisect_right(seqs, item.seq)
            if at == len(seqs):
                if s.is_caught_up:
                    self.faults.add(f"{s.name}: #{item.seq} ({item.n}) never came")
                continue  # else it was not there any more
            if kept_at is not None and self.was_gone(item, kept_at):
                self.excused["gone before it came"] += 1
                continue
            why = self.excuse(item, events[at].time, sessions[at], at, gaps)
            if why is None:
                self.faults.add(f"{s.name}: #{item.seq} ({item.n}, {channel}) is missing before "
                                f"#{seqs[at]}")
            else:
                self.excused[why] += 1

    def excuse(self, item, passed, session, at, gaps):
        if item.retract_sent is not None and item.retract_sent < passed:
            return "retracted"
        if item.ttl == 0:
            if session.time > item.sent:
                return "ttl 0"  # only for those who were connected
        elif item.ttl is not None and passed > item.sent + item.ttl - TTL_SLACK:
            return "ttl"
        if item.collapse is not None:
            for newer in self.by_key[item.channel, item.collapse]:
                if newer is not item and newer.sent < passed and \
                        (newer.seq is None or newer.seq > item.seq):
                    return "collapsed"
        for before, gap in gaps:
            if before <= at and gap.after < item.seq and gap.time >= item.sent:
                return "gap"
        return None

    def may_be_lost(self, item, gap):
        """Of users' channels by keep_per_user; of all that which has a ttl of 0, for it is in the
        window only."""
        return item.sent <= gap.time and (
            item.ttl == 0 or self.rules.may_evict and item.channel[0] == "user")

    def check_due(self, s, gap, seen):
        """A gap tells of something that is lost to this subscriber."""
        if gap.reason == "unknown-id":
            self.faults.add(f"{s.name}: its id was not known")
            return
        if any(time < gap.time and gap.after < first for time, first in self.rules.restarts):
            return  # what was out, and not on the disk, cannot be told from what never was
        for channel in s.channels:
            if any(self.may_be_lost(i, gap) and i.n not in seen
                   for i in self.behind(channel, gap.after)) or \
                    any(self.may_be_lost(i, gap) and not i.is_refused
                        for i in self.unknown[channel]):
                return
        self.faults.add(f"{s.name}: a gap behind #{gap.after} ({gap.reason}), and nothing is lost")


def check(items, subscribers, rules):
    """The faults, as sentences; none is what we want."""
    return Checker(items, subscribers, rules).run()
