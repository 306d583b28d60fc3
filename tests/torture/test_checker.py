"""The checker sees what it is there to see: logs with one fault each, and logs without any."""
import unittest

from checker import EVERYONE, Checker, Event, Gap, Item, Rules, Session, Subscriber, check

U = ("user", "u")


class Checks(unittest.TestCase):
    def setUp(self):
        """Ten notifications to u, number 101 to 110, sent at 1, 2, ... 10; one reader of all."""
        self.items = [self.item(n, U, n) for n in range(1, 11)]
        self.rules = Rules()
        self.reader = self.subscriber("r")
        self.read(self.reader, 0.5, range(1, 11))

    def item(self, n, channel, sent, **more):
        item = Item(n, channel, sent, **more)
        item.seq, item.acked = 100 + n, sent + 0.1
        return item

    def subscriber(self, name, topics=()):
        s = Subscriber(name, "u", topics)
        s.is_caught_up = True
        return s

    def read(self, s, time, numbers, start=100, resumed_from=None):
        s.log.append(Session(time - 0.01, time, start, resumed_from))
        for n in numbers:
            s.log.append(Event(max(time, n) + 0.2, 100 + n, n))

    def faults(self, *more):
        return check(self.items, [self.reader, *more], self.rules)

    def assert_sound(self, *more):
        self.assertEqual(self.faults(*more), [])

    def assert_fault(self, text, *more):
        found = self.faults(*more)
        self.assertTrue(found and any(text in f for f in found), found)

    def gap(self, s, at, after, time, seq=None, reason="expired"):
        s.log.insert(at, Gap(time, after if seq is None else seq, reason, after))

    # ---- sound ----

    def test_all_in_order(self):
        self.assert_sound()
        checker = Checker(self.items, [self.reader], self.rules)
        checker.run()
        self.assertEqual(checker.owed, 10)

    def test_a_life_of_several_sessions(self):
        s = self.subscriber("s")
        self.read(s, 0.5, [1, 2, 3])
        self.read(s, 5, [4, 5, 6, 7], start=103, resumed_from=103)
        self.read(s, 9, [8, 9, 10], start=107, resumed_from=107)
        self.assert_sound(s)

    def test_one_that_came_late_is_owed_what_came_later(self):
        s = self.subscriber("s")
        self.read(s, 6.5, [7, 8, 9, 10], start=106)
        self.assert_sound(s)

    def test_one_that_left_is_owed_nothing_more(self):
        del self.reader.log[5:]
        self.reader.is_caught_up = False
        self.assert_sound()

    def test_an_item_without_an_answer_may_be_missing(self):
        self.items[4].acked = self.items[4].seq = None
        del self.reader.log[5]
        self.assert_sound()

    def test_others_have_topics(self):
        self.items.append(self.item(11, ("topic", "t"), 11))
        self.items.append(self.item(12, ("user", "v"), 12))
        self.items.append(self.item(13, EVERYONE, 13))
        self.reader.log.append(Event(13.2, 113, 13))
        s = self.subscriber("s", ["t"])
        self.read(s, 0.5, [*range(1, 12), 13])
        self.assert_sound(s)

    # ---- lost ----

    def test_a_lost_one(self):
        for at in range(1, 11):
            with self.subTest(at=at):
                self.setUp()
                del self.reader.log[at]
                self.assert_fault("never came" if at == 10 else "missing")

    def test_one_lost_between_two_sessions(self):
        s = self.subscriber("s")
        self.read(s, 0.5, [1, 2, 3])
        self.read(s, 5, range(5, 11), start=103, resumed_from=103)
        self.assert_fault("#104 (4", s)

    def test_one_that_another_saw_is_owed_to_all_though_it_has_no_answer(self):
        self.items[4].acked = self.items[4].seq = None
        s = self.subscriber("s")
        self.read(s, 0.5, [1, 2, 3, 4, 6, 7, 8, 9, 10])
        self.assert_fault("#105 (5", s)

    def test_of_a_topic_and_of_all(self):
        for channel in (("topic", "t"), EVERYONE):
            with self.subTest(channel=channel):
                self.setUp()
                self.items.append(self.item(11, channel, 3))
                s = self.subscriber("s", ["t"])
                self.read(s, 0.5, range(1, 11))
                self.assert_fault("never came", s)

    def test_a_transient_one_while_connected(self):
        self.items[4].ttl = 0
        del self.reader.log[5]
        self.assert_fault("#105")

    def test_one_with_a_ttl_that_was_not_over(self):
        self.items[4].ttl = 30
        del self.reader.log[5]
        self.assert_fault("#105")

    def test_one_that_was_retracted_later(self):
        self.items[4].retract_sent = 9
        del self.reader.log[5]
        self.assert_fault("#105")

    def test_one_that_was_replaced_later(self):
        self.items[4].collapse = self.items[9].collapse = "k"
        del self.reader.log[5]
        self.assert_fault("#105")

    def test_a_gap_that_came_before_it_was_sent(self):
        self.rules = Rules(may_evict=True)
        del self.reader.log[5]
        self.gap(self.reader, 1, 100, 0.9)
        self.assert_fault("#105")

    def test_a_gap_that_begins_behind_it(self):
        self.rules = Rules(may_evict=True)
        del self.reader.log[8]
        del self.reader.log[5]
        self.gap(self.reader, 7, 107, 9.1)
        self.assert_fault("#105")

    def test_a_gap_that_comes_too_late(self):
        self.rules = Rules(may_evict=True)
        del self.reader.log[5]
        self.gap(self.reader, 8, 108, 8.5)
        self.assert_fault("#105")

    # ---- excused ----

    def test_missing_ones_with_an_excuse(self):
        def retracted(item):
            item.retract_sent = 5.05

        def short(item):
            item.ttl = 0.5

        def replaced(item):
            item.collapse = self.items[5].collapse = "k"

        for excuse in (retracted, short, replaced):
            with self.subTest(excuse=excuse.__name__):
                self.setUp()
                excuse(self.items[4])
                del self.reader.log[5]
                self.assert_sound()

    def test_a_transient_one_before_the_session(self):
        self.items[4].ttl = 0
        s = self.subscriber("s")
        self.read(s, 6, [1, 2, 3, 4, 6, 7, 8, 9, 10], start=100)
        self.assert_sound(s)

    def test_a_loss_that_was_told(self):
        self.rules = Rules(may_evict=True)
        s = self.subscriber("s")
        self.read(s, 0.5, [1, 2])
        self.read(s, 8, [7, 8, 9, 10], start=102, resumed_from=102)
        self.gap(s, 4, 102, 8.1, seq=106)
        self.assert_sound(s)

    # ---- twice, swapped, wrong ----

    def test_a_double_one(self):
        self.reader.log.insert(6, self.reader.log[5])
        self.assert_fault("behind #105")

    def test_a_double_one_of_two_numbers(self):
        self.reader.log.append(Event(10.5, 111, 5))
        self.assert_fault("twice")

    def test_a_double_one_in_the_next_session(self):
        s = self.subscriber("s")
        self.read(s, 0.5, [1, 2, 3])
        self.read(s, 5, range(3, 11), start=103, resumed_from=103)
        self.assert_fault("behind #103", s)

    def test_swapped_ones(self):
        log = self.reader.log
        log[5], log[6] = log[6], log[5]
        self.assert_fault("behind #106")

    def test_a_number_twice(self):
        self.items.append(self.item(11, U, 11))
        self.items[-1].seq = 110
        self.assert_fault("#110 is 10")

    def test_another_number_than_was_answered(self):
        self.items[4].seq = 99
        self.assert_fault("5 is #99")

    def test_a_foreign_one(self):
        self.items.append(self.item(11, ("user", "v"), 11))
        self.reader.log.append(Event(11.2, 111, 11))
        self.assert_fault("not addressed")

    def test_a_refused_one(self):
        self.items[4].acked = self.items[4].seq = None
        self.items[4].is_refused = True
        self.assert_fault("refused")

    def test_a_session_that_starts_elsewhere(self):
        s = self.subscriber("s")
        self.read(s, 0.5, [1, 2, 3])
        self.read(s, 5, range(4, 11), start=102, resumed_from=103)
        self.assert_fault("resumed from #103", s)

    # ---- back from the dead ----

    def test_one_that_came_back(self):
        def retracted(item):
            item.retract_sent, item.retract_acked = 6, 6.1

        def short(item):
            item.ttl = 0.5

        def replaced(item):
            item.collapse = self.items[5].collapse = "k"

        for death in (retracted, short, replaced):
            with self.subTest(death=death.__name__):
                self.setUp()
                death(self.items[4])
                self.assert_sound()  # it came in time to the first one
                s = self.subscriber("s")
                self.read(s, 8, range(1, 11))
                self.assert_fault("#105 (5) came after", s)
                # It may have been opened long before it got to reading.
                s.log[0] = s.log[0]._replace(asked=5)
                self.assert_sound(s)

    # ---- gaps ----

    def test_an_undue_gap(self):
        self.gap(self.reader, 5, 104, 4.5)
        self.assert_fault("nothing is lost")

    def test_an_undue_gap_where_some_are_due(self):
        self.rules = Rules(may_evict=True)
        self.gap(self.reader, 5, 104, 4.5)
        self.assert_fault("nothing is lost")

    def test_a_gap_for_what_was_sent_later(self):
        self.rules = Rules(may_evict=True)
        del self.reader.log[8]
        self.gap(self.reader, 5, 104, 4.5)
        self.assert_fault("nothing is lost")

    def test_a_gap_for_a_transient_one_that_the_window_had_no_room_for(self):
        self.items[4].ttl = 0
        del self.reader.log[5]
        self.gap(self.reader, 5, 104, 5.5)
        self.assert_sound()

    def test_an_unknown_id(self):
        self.gap(self.reader, 5, 104, 4.5, reason="unknown-id")
        self.assert_fault("not known")

    def test_a_gap_with_an_id_that_goes_back(self):
        self.rules = Rules(is_always=False, restarts=[(1.5, 200)])
        self.gap(self.reader, 5, 102, 4.5)
        self.assert_fault("gap at #102 behind #104")

    def test_a_gap_after_a_restart_is_due_to_who_was_there_before(self):
        self.rules = Rules(is_always=False, restarts=[(4.3, 105)])
        self.gap(self.reader, 5, 104, 4.5)
        self.assert_sound()
        self.gap(self.reader, 7, 105, 5.5)
        self.assert_fault("behind #105 (expired), and nothing is lost")

    def test_a_loss_by_a_kill_that_nobody_is_told_of(self):
        self.rules = Rules(is_always=False, restarts=[(5.3, 106)])
        del self.reader.log[5]
        self.assert_fault("#105")
        self.gap(self.reader, 5, 104, 5.5)
        self.assert_sound()

    def test_one_from_the_earliest_is_owed_what_was_kept_when_it_came(self):
        self.rules = Rules(is_always=False, restarts=[(5.3, 106)])
        s = self.subscriber("s")
        self.read(s, 6, [1, 2, 3, 4, 6, 7, 8, 9, 10], start=0, resumed_from=0)
        self.assert_sound(s)
        del s.log[6]  # #107, which no kill took
        self.assert_fault("#107", s)
        self.rules = Rules()
        self.assert_fault("#105", s)

    def test_a_repeat_may_come_again_only_where_its_key_may_be_lost(self):
        self.reader.log.append(Event(10.5, 111, 10))
        self.rules = Rules(is_always=False, restarts=[(10.3, 111)])
        self.assert_fault("twice")
        self.items[9].spans_restart = True
        self.assertNotIn("twice", str(self.faults()))


if __name__ == "__main__":
    unittest.main()
