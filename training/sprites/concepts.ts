/**
 * The concepts the model learns to draw, chosen by hand: what people ask a sticker maker for first.
 *
 * No flags, weapons, signs or brands. The order is the concept id of every model trained from it, so new
 * concepts are added at the end.
 */
import type { Noun } from './names.ts';

export type Group = 'animal' | 'food' | 'nature' | 'vehicle' | 'place' | 'thing';

export interface Concept extends Noun {
  /** Unicode emoji that identifies the drawing in every set. */
  readonly emoji: string;
  readonly group: Group;
  /** Other words for the same thing, each usable in its place in a sentence. */
  readonly synonyms: readonly string[];
  /** Asked for most often; sampled at twice the weight. */
  readonly frequent: boolean;
  /** Never recoloured: its colours are what it is. */
  readonly fixedColour: boolean;
}

interface Options {
  readonly frequent?: true;
  readonly fixedColour?: true;
  readonly plural?: string;
  readonly article?: 'a' | 'an' | '';
}

type Row = readonly [emoji: string, name: string, synonyms: string, options?: Options];

const often = { frequent: true } as const;
const fixed = { fixedColour: true } as const;

const ANIMALS: readonly Row[] = [
  ['🐱', 'cat', 'kitty, kitten, cat face, tabby cat', often],
  ['🐶', 'dog', 'puppy, doggy, dog face, pup', often],
  ['🦊', 'fox', 'fox face, little fox, fox head', often],
  ['🐼', 'panda', 'panda bear, giant panda, panda face', often],
  ['🐻', 'bear', 'bear face, bear cub, grizzly bear', often],
  ['🐨', 'koala', 'koala bear, koala face'],
  ['🦁', 'lion', 'lion face, male lion, lion head', often],
  ['🐯', 'tiger', 'tiger face, tiger cub, tiger head'],
  ['🐰', 'rabbit', 'bunny, bunny rabbit, rabbit face, hare', often],
  ['🐭', 'mouse', 'mouse face, little mouse', { plural: 'mice' }],
  ['🐮', 'cow', 'cow face, dairy cow, milk cow'],
  ['🐷', 'pig', 'piggy, piglet, pig face', often],
  ['🐴', 'horse', 'pony, horse face, horse head'],
  ['🦄', 'unicorn', 'unicorn face, unicorn head, magic unicorn', often],
  ['🐵', 'monkey', 'monkey face, chimp, chimpanzee'],
  ['🐸', 'frog', 'toad, frog face, froggy', often],
  ['🐺', 'wolf', 'wolf face, wolf head, lone wolf', { plural: 'wolves' }],
  ['🦝', 'raccoon', 'raccoon face, racoon'],
  ['🐘', 'elephant', 'baby elephant, big elephant'],
  ['🦒', 'giraffe', 'tall giraffe, giraffe head'],
  ['🦓', 'zebra', 'striped zebra, zebra head', fixed],
  ['🐑', 'sheep', 'lamb, ewe, woolly sheep', { plural: 'sheep' }],
  ['🦙', 'llama', 'alpaca, fluffy llama'],
  ['🦔', 'hedgehog', 'spiny hedgehog, little hedgehog'],
  ['🐧', 'penguin', 'baby penguin, little penguin', often],
  ['🐔', 'chicken', 'hen, chicken head'],
  ['🐤', 'chick', 'baby chick, baby chicken', often],
  ['🐦', 'bird', 'songbird, birdie, little bird'],
  ['🦆', 'duck', 'mallard, drake, wild duck'],
  ['🦉', 'owl', 'barn owl, wise owl', often],
  ['🦜', 'parrot', 'macaw, tropical parrot'],
  ['🦩', 'flamingo', 'tall flamingo, flamingo bird', { plural: 'flamingos' }],
  ['🐢', 'turtle', 'tortoise, sea turtle', often],
  ['🐍', 'snake', 'serpent, coiled snake'],
  ['🐊', 'crocodile', 'alligator, croc, gator'],
  ['🦖', 'dinosaur', 'dino, tyrannosaurus, t-rex, tyrannosaurus rex', often],
  ['🐲', 'dragon', 'dragon head, dragon face', often],
  ['🐳', 'whale', 'spouting whale, big whale', often],
  ['🐬', 'dolphin', 'jumping dolphin, bottlenose dolphin'],
  ['🦈', 'shark', 'big shark, reef shark'],
  ['🐠', 'fish', 'tropical fish, reef fish, angelfish', { frequent: true, plural: 'fish' }],
  [
    '🐙',
    'octopus',
    'octopus with tentacles, little octopus',
    { frequent: true, plural: 'octopuses' },
  ],
  ['🦀', 'crab', 'beach crab, sea crab'],
  ['🐌', 'snail', 'garden snail, slow snail'],
  ['🦋', 'butterfly', 'monarch butterfly, winged butterfly', often],
  ['🐝', 'bee', 'honeybee, bumblebee, honey bee', { frequent: true, fixedColour: true }],
  ['🐞', 'ladybug', 'ladybird, lady beetle, ladybird beetle'],
];

const FOOD: readonly Row[] = [
  ['🍎', 'apple', 'apple fruit, ripe apple, juicy apple', often],
  ['🍐', 'pear', 'ripe pear, pear fruit'],
  ['🍊', 'orange', 'tangerine, mandarin, clementine, orange fruit'],
  ['🍋', 'lemon', 'ripe lemon, lemon fruit', often],
  ['🍌', 'banana', 'ripe banana, peeled banana', often],
  ['🍉', 'watermelon', 'slice of watermelon, watermelon slice', often],
  ['🍇', 'bunch of grapes', 'cluster of grapes, grape bunch', { plural: 'bunches of grapes' }],
  ['🍓', 'strawberry', 'ripe strawberry, strawberry fruit', often],
  ['🍒', 'pair of cherries', 'couple of cherries, cherry pair', { plural: 'pairs of cherries' }],
  ['🍑', 'peach', 'ripe peach, nectarine'],
  ['🍍', 'pineapple', 'ananas, tropical pineapple', often],
  ['🥑', 'avocado', 'avocado half, ripe avocado', { frequent: true, plural: 'avocados' }],
  ['🍅', 'tomato', 'ripe tomato, cherry tomato'],
  ['🍆', 'eggplant', 'aubergine, ripe eggplant'],
  ['🥕', 'carrot', 'garden carrot, fresh carrot'],
  [
    '🌽',
    'ear of corn',
    'corn cob, corn on the cob, cob of corn',
    { plural: 'ears of corn', fixedColour: true },
  ],
  ['🥦', 'broccoli', 'broccoli floret, head of broccoli', { article: '', plural: 'broccoli' }],
  [
    '🍞',
    'loaf of bread',
    'bread loaf, slice of bread, piece of toast',
    { plural: 'loaves of bread' },
  ],
  ['🥐', 'croissant', 'french croissant, butter croissant'],
  [
    '🧀',
    'piece of cheese',
    'cheese wedge, wedge of cheese, slice of cheese',
    { plural: 'pieces of cheese' },
  ],
  ['🍔', 'hamburger', 'burger, cheeseburger', often],
  [
    '🍟',
    'box of french fries',
    'pack of fries, box of fries, portion of chips',
    { plural: 'boxes of french fries' },
  ],
  [
    '🍕',
    'slice of pizza',
    'pizza, pizza slice, piece of pizza',
    { frequent: true, plural: 'slices of pizza' },
  ],
  ['🌭', 'hot dog', 'hotdog, sausage in a bun'],
  ['🌮', 'taco', 'mexican taco, crunchy taco', { plural: 'tacos' }],
  ['🍣', 'piece of sushi', 'sushi roll, sushi', { plural: 'pieces of sushi', fixedColour: true }],
  ['🍿', 'bucket of popcorn', 'box of popcorn, popcorn', { plural: 'buckets of popcorn' }],
  ['🍦', 'ice cream cone', 'ice cream, soft ice cream, gelato', often],
  ['🍩', 'doughnut', 'donut, glazed donut, ring doughnut', often],
  ['🍪', 'cookie', 'biscuit, chocolate chip cookie', often],
  ['🎂', 'birthday cake', 'cake, cake with candles, party cake', often],
  ['🧁', 'cupcake', 'muffin, frosted cupcake', often],
  ['🍭', 'lollipop', 'lolly, sweet lollipop, candy on a stick', fixed],
  [
    '☕',
    'cup of coffee',
    'coffee cup, hot drink, mug of coffee, coffee',
    { frequent: true, plural: 'cups of coffee' },
  ],
];

const NATURE: readonly Row[] = [
  ['🌵', 'cactus', 'desert cactus, saguaro', { frequent: true, plural: 'cacti' }],
  ['🌻', 'sunflower', 'sun flower, big sunflower', often],
  ['🌹', 'rose', 'rose flower, single rose', often],
  ['🌷', 'tulip', 'tulip flower, spring tulip'],
  ['🌸', 'cherry blossom', 'sakura, blossom, sakura flower, flower'],
  ['🌳', 'tree', 'leafy tree, oak tree, deciduous tree', often],
  ['🌲', 'pine tree', 'evergreen tree, fir tree, conifer'],
  ['🌴', 'palm tree', 'coconut palm, tropical tree, coconut tree'],
  ['🍀', 'four-leaf clover', 'lucky clover, clover, four leaf clover'],
  ['🍁', 'maple leaf', 'autumn leaf, fall leaf', { plural: 'maple leaves' }],
  ['🍄', 'mushroom', 'toadstool, spotted mushroom, fly agaric', often],
  ['🌞', 'sun', 'smiling sun, sun with a face, sunshine', often],
  ['🌙', 'moon', 'crescent moon, half moon, moon crescent', often],
  ['⭐', 'star', 'five-pointed star, little star', often],
  ['☁️', 'cloud', 'puffy cloud, fluffy cloud', often],
  ['🌈', 'rainbow', 'colorful rainbow, rainbow arc', fixed],
  ['❄️', 'snowflake', 'snow crystal, flake of snow'],
  ['⛄', 'snowman', 'snow man, frosty snowman', { frequent: true, plural: 'snowmen' }],
  ['🔥', 'fire', 'flame, burning flame, campfire flame', often],
  ['🪐', 'planet', 'ringed planet, saturn, planet with a ring'],
];

const VEHICLES: readonly Row[] = [
  ['🚗', 'car', 'automobile, small car, motor car', often],
  ['🚕', 'taxi', 'cab, taxi cab, taxicab'],
  ['🚌', 'bus', 'tour bus, city bus, school bus', fixed],
  ['🚒', 'fire truck', 'fire engine, firetruck'],
  ['🚜', 'tractor', 'farm tractor, farm vehicle'],
  ['🚚', 'truck', 'delivery truck, lorry, delivery van'],
  ['🚲', 'bicycle', 'bike, push bike, pedal bike'],
  ['🛵', 'scooter', 'motor scooter, moped'],
  ['🚂', 'train', 'locomotive, steam train, steam engine', fixed],
  ['✈️', 'airplane', 'plane, jet, aeroplane, airliner', { frequent: true, fixedColour: true }],
  ['🚁', 'helicopter', 'chopper, little helicopter'],
  ['🚀', 'rocket', 'spaceship, rocket ship, space rocket', often],
  ['⛵', 'sailboat', 'sailing boat, yacht, boat', often],
  ['🛸', 'flying saucer', 'ufo, alien spaceship, alien ship'],
];

const PLACES: readonly Row[] = [
  ['🏠', 'house', 'home, little house, cottage', often],
  ['🏰', 'castle', 'fortress, palace, fairy-tale castle', often],
  ['⛺', 'tent', 'camping tent, camp tent'],
];

const THINGS: readonly Row[] = [
  ['❤️', 'heart', 'love heart, heart symbol, valentine heart', often],
  ['🎈', 'balloon', 'party balloon, toy balloon', often],
  ['🎁', 'gift', 'present, gift box, wrapped gift', often],
  ['🧸', 'teddy bear', 'teddy, stuffed bear, plush bear', often],
  ['👑', 'crown', 'royal crown, king crown', often],
  ['💎', 'diamond', 'gem, gemstone, jewel'],
  ['🔑', 'key', 'door key, house key'],
  ['🔒', 'padlock', 'lock, closed lock'],
  ['🔔', 'bell', 'ringing bell, notification bell'],
  ['💡', 'light bulb', 'lightbulb, bulb, lamp'],
  ['🕯️', 'candle', 'burning candle, lit candle'],
  ['📕', 'book', 'closed book, textbook, novel', often],
  ['✏️', 'pencil', 'lead pencil, writing pencil'],
  ['✂️', 'pair of scissors', 'scissors, craft scissors', { plural: 'pairs of scissors' }],
  ['⏰', 'alarm clock', 'clock, bedside clock', fixed],
  ['📷', 'camera', 'photo camera, digital camera', fixed],
  ['📺', 'television', 'tv, tv set, television set', fixed],
  ['☎️', 'telephone', 'phone, landline phone, old telephone'],
  ['💻', 'laptop', 'computer, notebook computer, laptop computer', fixed],
  ['🎸', 'guitar', 'electric guitar, rock guitar', often],
  ['🎺', 'trumpet', 'brass trumpet, bugle'],
  ['🥁', 'drum', 'snare drum, drum with drumsticks'],
  ['☂️', 'umbrella', 'open umbrella, parasol, rain umbrella', often],
  ['🎒', 'backpack', 'rucksack, school bag, schoolbag'],
  ['👕', 't-shirt', 'tee, shirt, tee shirt'],
  ['👟', 'sneaker', 'running shoe, trainer, sports shoe'],
  ['🎩', 'top hat', 'hat, tall hat, magician hat', often],
  [
    '🕶️',
    'pair of sunglasses',
    'sunglasses, shades, dark glasses',
    { plural: 'pairs of sunglasses' },
  ],
  ['⚽', 'soccer ball', 'football, soccer football', fixed],
  ['🏀', 'basketball', 'basket ball, basketball ball'],
  ['🏆', 'trophy', 'winners cup, trophy cup, champion cup'],
  ['🪁', 'kite', 'flying kite, toy kite', fixed],
  ['🎲', 'die', 'dice, game die, gaming die', { plural: 'dice' }],
  ['🎨', 'paint palette', 'artist palette, palette, painters palette'],
  ['🔍', 'magnifying glass', 'magnifier, hand lens, loupe', fixed],
  ['🔨', 'hammer', 'claw hammer, carpenters hammer'],
  ['🪑', 'chair', 'dining chair, wooden chair'],
  ['🤖', 'robot', 'bot, android, robot face, droid', often],
  ['👻', 'ghost', 'spooky ghost, friendly ghost, white ghost', often],
  ['👽', 'alien', 'extraterrestrial, alien face, space alien', often],
  ['🎃', 'pumpkin', 'jack-o-lantern, halloween pumpkin, carved pumpkin', often],
  ['🎄', 'christmas tree', 'xmas tree, decorated tree, holiday tree', often],
];

const toConcepts = (group: Group, rows: readonly Row[]): Concept[] =>
  rows.map(([emoji, name, synonyms, options = {}]) => ({
    emoji,
    name,
    group,
    synonyms: synonyms.split(', '),
    frequent: options.frequent ?? false,
    fixedColour: options.fixedColour ?? false,
    ...(options.plural === undefined ? {} : { plural: options.plural }),
    ...(options.article === undefined ? {} : { article: options.article }),
  }));

export const CONCEPTS: readonly Concept[] = [
  ...toConcepts('animal', ANIMALS),
  ...toConcepts('food', FOOD),
  ...toConcepts('nature', NATURE),
  ...toConcepts('vehicle', VEHICLES),
  ...toConcepts('place', PLACES),
  ...toConcepts('thing', THINGS),
];
