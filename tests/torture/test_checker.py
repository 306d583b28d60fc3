"""The checker sees what it is there to see: logs with one fault each, and logs without any."""
import unittest

from checker import (EVERYONE, Checker, Erasure, Event, Gap, Item, Retract, Rules, Session,
                     Subscriber, check)

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
        item.acked = sent + 0.1
        item.answers.append((100 + n, False))
        return item

    def forget_answer(self, item):
        item.acked = None
        item.answers.clear()

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

    def retract(self, item, sent):
        item.retract_sent, item.retract_acked = sent, sent + 0.1
        item.retracted_seq = 100 + item.n

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
        self.forget_answer(self.items[4])
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
        self.forget_answer(self.items[4])
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
        self.rules = Rules(keep_per_user=1)
        del self.reader.log[5]
        self.gap(self.reader, 1, 100, 0.9)
        self.assert_fault("#105")

    def test_a_gap_that_begins_behind_it(self):
        self.rules = Rules(keep_per_user=1)
        del self.reader.log[8]
        del self.reader.log[5]
        self.gap(self.reader, 7, 107, 9.1)
        self.assert_fault("#105")

    def test_a_gap_that_comes_too_late(self):
        self.rules = Rules(keep_per_user=1)
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
        self.rules = Rules(keep_per_user=2)
        s = self.subscriber("s")
        self.read(s, 0.5, [1, 2])
        self.read(s, 8, [7, 8, 9, 10], start=102, resumed_from=102)
        self.gap(s, 4, 102, 8.1, seq=106)
        self.assert_sound(s)
        self.rules = Rules(keep_per_user=3)
        self.assert_fault("#106 (6", s)  # it was one of the three newest

    def test_a_loss_that_no_bound_explains_though_it_was_told(self):
        del self.reader.log[5]
        self.gap(self.reader, 5, 104, 5.5)
        self.assert_fault("#105 (5")

    def test_of_a_topic_nothing_is_evicted(self):
        self.rules = Rules(keep_per_user=1)
        self.items.append(self.item(11, ("topic", "t"), 11))
        self.items.append(self.item(12, ("topic", "t"), 12))
        self.reader.log.clear()
        s = self.subscriber("s", ["t"])
        self.read(s, 0.5, [*range(1, 11), 12])
        self.gap(s, 11, 110, 12.1)
        self.reader.is_caught_up = False
        self.assert_fault("#111 (11", s)

    def test_one_that_was_erased(self):
        self.rules = Rules(erasures=[Erasure("u", 5.5, 5.6, True)])
        s = self.subscriber("s")
        self.read(s, 0.5, [1, 2])
        self.read(s, 8, [6, 7, 8, 9, 10], start=102, resumed_from=102)
        self.assert_sound(s)
        self.rules = Rules(erasures=[Erasure("v", 5.5, 5.6, True)])
        self.assert_fault("#103 (3", s)
        self.rules = Rules(erasures=[Erasure("u", 3.5, 3.6, True)])
        self.assert_fault("#104 (4", s)
        self.rules = Rules(erasures=[Erasure("u", 3.5, 5.5, False)])  # when, nobody knows
        self.assert_sound(s)

    def test_an_answered_one_whose_number_nobody_knows(self):
        self.items[4].answers.clear()
        del self.reader.log[5]
        self.assert_fault("5, which was taken, came to nobody")
        self.items[4].retract_sent = 9
        self.assert_sound()
        self.items[4].retract_sent = None
        self.reader.log[0] = self.reader.log[0]._replace(asked=5.4, time=5.5, start_seq=105)
        del self.reader.log[1:5]
        self.assert_sound()  # nobody was there

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
        self.items[-1].answers[0] = (110, False)
        self.assert_fault("#110 is 10")

    def test_another_number_than_was_answered(self):
        self.items[4].answers[0] = (99, False)
        self.assert_fault("5 is #99")

    def test_an_answer_that_changes(self):
        self.items[4].answers.append((105, True))
        self.assert_sound()
        self.items[4].answers.append((107, True))
        self.assert_fault("5 was answered as #105, then as #107")

    def test_one_that_was_taken_twice(self):
        self.items[4].answers.append((105, False))
        self.assert_fault("5, #105, was taken twice")

    def test_a_foreign_one(self):
        self.items.append(self.item(11, ("user", "v"), 11))
        self.reader.log.append(Event(11.2, 111, 11))
        self.assert_fault("not addressed")

    def test_a_refused_one(self):
        self.forget_answer(self.items[4])
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

    def test_an_erased_one_that_came_back(self):
        self.rules = Rules(erasures=[Erasure("u", 6.5, 6.6, True)])
        s = self.subscriber("s")
        self.read(s, 8, range(1, 11))
        self.assert_fault("#106 (6) came after it was erased", s)
        self.rules = Rules(erasures=[Erasure("u", 6.5, 6.6, False)])
        self.assert_sound(s)

    # ---- retractions ----

    def test_a_retraction_that_is_told(self):
        self.retract(self.items[4], 6.5)
        self.reader.log.insert(7, Retract(6.6, 105))
        checker = Checker(self.items, [self.reader], self.rules)
        self.assertEqual(checker.run(), [])
        self.assertEqual(checker.told, 1)

    def test_a_retraction_that_is_not_told(self):
        self.retract(self.items[4], 6.5)
        self.assert_fault("#105 (5) was retracted, which it was not told before #107")

    def test_a_retraction_that_is_told_too_late(self):
        self.retract(self.items[4], 6.5)
        self.reader.log.insert(9, Retract(8.3, 105))
        self.assert_fault("not told before #107")

    def test_whoever_is_not_there_is_told_of_no_retraction(self):
        self.retract(self.items[4], 6.5)
        self.reader.log.insert(7, Retract(6.6, 105))
        s = self.subscriber("s")
        self.read(s, 0.5, [1, 2, 3])
        self.read(s, 7, [4, 6, 7, 8, 9, 10], start=103, resumed_from=103)
        self.assert_sound(s)
        for channel in (("user", "v"), ("topic", "t")):
            self.items[4].channel = channel
            s.log.clear()
            self.read(s, 0.5, [1, 2, 3, 4, *range(6, 11)])
            self.reader.log = list(s.log)
            self.assert_sound(s)

    def test_a_retraction_that_nobody_asked_for(self):
        self.reader.log.insert(7, Retract(6.6, 105))
        self.assert_fault("told to retract #105, which nobody asked for")
        self.retract(self.items[4], 6.7)
        self.assert_fault("told to retract #105, which nobody asked for")

    def test_a_retraction_that_is_told_twice(self):
        self.retract(self.items[4], 6.5)
        self.reader.log[7:7] = [Retract(6.6, 105), Retract(6.6, 105)]
        self.assert_fault("told twice")

    def test_one_that_comes_behind_its_retraction(self):
        self.retract(self.items[4], 5.1)
        self.reader.log.insert(5, Retract(5.15, 105))
        self.assert_fault("came behind its retraction")

    def test_a_gap_instead_of_too_many_retractions(self):
        self.retract(self.items[4], 6.5)
        self.gap(self.reader, 7, 106, 6.6, reason="overflow")
        self.assert_sound()

    # ---- gaps ----

    def test_an_undue_gap(self):
        self.gap(self.reader, 5, 104, 4.5)
        self.assert_fault("nothing is lost")

    def test_an_undue_gap_where_some_are_due(self):
        self.rules = Rules(keep_per_user=1)
        self.gap(self.reader, 5, 104, 4.5)
        self.assert_fault("nothing is lost")

    def test_a_gap_for_what_was_sent_later(self):
        self.rules = Rules(keep_per_user=1)
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

    def test_a_kill_takes_the_last_moment_only(self):
        self.rules = Rules(is_always=False, restarts=[(8.3, 109)])
        del self.reader.log[5]
        self.gap(self.reader, 8, 108, 8.5)
        self.gap(self.reader, 5, 104, 8.5)
        self.assert_fault("#105 (5")

    def test_one_from_the_earliest_is_owed_what_was_kept_when_it_came(self):
        self.rules = Rules(is_always=False, restarts=[(5.3, 106)])
        s = self.subscriber("s")
        self.read(s, 6, [1, 2, 3, 4, 6, 7, 8, 9, 10], start=0, resumed_from=0)
        self.assert_sound(s)
        del s.log[6]  # #107, which no kill took
        self.assert_fault("#107", s)
        self.rules = Rules()
        self.assert_fault("#105", s)

    def test_what_came_again_may_be_lost_with_the_number_that_it_has_now(self):
        self.rules = Rules(is_always=False, restarts=[(8.3, 109)])
        s = self.subscriber("s")
        self.read(s, 9, [1, 2, 3, 4, 6, 7, 8, 9, 10], start=0, resumed_from=0)
        self.assert_fault("#105", s)
        self.items[4].spans_restart = True
        self.assert_sound(s)

    def test_a_repeat_may_come_again_only_where_its_key_may_be_lost(self):
        self.reader.log.append(Event(10.5, 111, 10))
        self.rules = Rules(is_always=False, restarts=[(10.3, 111)])
        self.assert_fault("twice")
        self.items[9].spans_restart = True
        self.assertNotIn("twice", str(self.faults()))
        # Its ttl begins anew with each.
        self.items[9].ttl = 1
        s = self.subscriber("s")
        self.read(s, 14, [], start=110)
        s.log.append(Event(14.1, 111, 10))
        self.assertNotIn("ttl", str(self.faults(s)))
        self.items[9].spans_restart = False
        self.assert_fault("after its ttl", s)


if __name__ == "__main__":
    unittest.main()
